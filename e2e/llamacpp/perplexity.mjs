// The peer of `verbatim perplexity`: the same count with llama.cpp's tokenizer and llama.cpp's logits.
import {readFileSync} from "node:fs";
import {availableParallelism} from "node:os";
import {parseArgs} from "node:util";
import {open} from "./llama.mjs";

const {values} = parseArgs({options: {
  model: {type: "string"}, file: {type: "string"}, window: {type: "string", default: "512"},
  threads: {type: "string", default: String(availableParallelism())},
}});
const window = Number(values.window);
const peer = await open(values.model, {threads: Number(values.threads), contextTokens: window, batchTokens: window});
const bos = peer.model.shouldPrependBosToken() ? [peer.model.tokenBos()] : [];
const tokens = [...bos, ...peer.model.tokenize(readFileSync(values.file, "utf8"), false)];
const sampler = new peer.bindings.AddonSampler(peer.model);
sampler.applyConfig({temperature: 0});

let sum = 0, scored = 0;
for (let from = 0; from + window <= tokens.length; from += window) {
  const part = [...bos, ...tokens.slice(from + bos.length, from + window)];
  const first = Math.floor(window / 2);
  const asked = Array.from({length: window - 1 - first}, (_, i) => first + i);
  peer.context.disposeSequence(0);
  const [indexes] = await peer.evaluate([{sequence: 0, position: 0, tokens: part.slice(0, -1), logits: asked}]);
  for (const [i, at] of asked.entries()) {
    sum += await loss(indexes[i], part[at + 1]);
    scored++;
  }
}
console.log(JSON.stringify({
  engine: peer.name, perplexity: Math.exp(sum / scored), mean_loss: sum / scored, scored, tokens: tokens.length, window,
}));
process.exit(0);

// loss is minus the logarithm of a token's probability. The weight is the sum of exp(logit - largest logit).
async function loss(index, token) {
  const [, , , logits, weight] = await peer.context.sampleToken(index, sampler, false, false, [[token], false, false, false, 1], true);
  let own, most = -Infinity;
  for (let i = 0; i < logits.length; i += 2) {
    if (logits[i] === token) own = logits[i + 1];
    most = Math.max(most, logits[i + 1]);
  }
  return Math.log(weight) - (own - most);
}
