// The peer of `verbatim bench engine`: does one workload with llama.cpp and prints its sample. The options are those of
// `verbatim bench work`.
import {parseArgs} from "node:util";
import {open} from "./llama.mjs";

const {values} = parseArgs({options: {
  model: {type: "string"}, threads: {type: "string", default: "1"}, decode: {type: "string", default: "false"},
  tokens: {type: "string", default: "512"}, depth: {type: "string", default: "0"}, sequences: {type: "string", default: "1"},
}});
const [threads, tokens, depth, sequences] = [values.threads, values.tokens, values.depth, values.sequences].map(Number);
const decode = values.decode === "true";
const all = [...Array(sequences).keys()];

const peer = await open(values.model, {threads, sequences, contextTokens: Math.max(64, sequences * (tokens + depth))});
await peer.prefill(0, [token(0, 0)]);
const load_ms = performance.now() - peer.begin;

await reset();
await peer.prefill(0, prompt(0, 16));
await peer.evaluate([{sequence: 0, position: 16, tokens: [1], logits: [0]}]);
await reset();

if (decode && depth > 0)
  for (const sequence of all) await peer.prefill(sequence, prompt(sequence, depth));
const used = process.cpuUsage();
const start = performance.now();
if (decode)
  for (let i = 0; i < tokens; i++)
    await peer.evaluate(all.map((sequence) => ({sequence, position: depth + i, tokens: [token(sequence, depth + i)], logits: [0]})));
else
  for (const sequence of all) await peer.prefill(sequence, prompt(sequence, tokens));
const seconds = (performance.now() - start) / 1000;
const {user, system} = process.cpuUsage(used);
console.log(JSON.stringify({
  engine: peer.name, tokens_per_second: sequences * tokens / seconds, tokens_per_cpu_second: sequences * tokens / (user + system) * 1e6, load_ms,
}));
process.exit(0);

function token(sequence, i) {
  return (sequence * 104729 + i * 7919 + 17) % 500;
}

function prompt(sequence, count) {
  return Array.from({length: count}, (_, i) => token(sequence, i));
}

async function reset() {
  for (const sequence of all) peer.context.disposeSequence(sequence);
}
