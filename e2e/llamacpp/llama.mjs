// Opens a model in llama.cpp with the native part of node-llama-cpp alone: batches are filled and evaluated directly, so
// that what is timed is llama.cpp and not JavaScript.
import {getLlama} from "node-llama-cpp";

export async function open(path, {threads, contextTokens, sequences = 1, batchTokens = 512}) {
  const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: threads});
  const begin = performance.now();
  const bindings = llama._bindings;
  const model = new bindings.AddonModel(path, {addonExports: bindings, gpuLayers: 0, useMmap: true});
  if (!await model.init()) throw new Error(`llama.cpp cannot open ${path}`);
  const context = new bindings.AddonContext(model, {
    contextSize: contextTokens, batchSize: batchTokens, sequences, threads, flashAttention: false,
  });
  if (!await context.init()) throw new Error(`llama.cpp gives no context of ${contextTokens} tokens`);
  context.setThreads(threads);
  return {
    begin, bindings, model, context,
    name: `llama.cpp ${llama.llamaCppRelease.release} (node-llama-cpp 3.22.1), ${context.getThreads()} threads`,

    // evaluate runs the parts, {sequence, position, tokens, logits: indexes of tokens}, as one batch. It returns where their
    // logits are.
    async evaluate(parts) {
      context.initBatch(parts.reduce((n, part) => n + part.tokens.length, 0));
      const indexes = parts.map((part) =>
        context.addToBatch(part.sequence, part.position, Uint32Array.from(part.tokens), Uint32Array.from(part.logits)));
      await context.decodeBatch();
      return indexes;
    },

    // prefill evaluates a prompt in batches; the last token gets logits.
    async prefill(sequence, tokens) {
      for (let from = 0; from < tokens.length; from += batchTokens) {
        const part = tokens.slice(from, from + batchTokens);
        await this.evaluate([{sequence, position: from, tokens: part, logits: from + batchTokens < tokens.length ? [] : [part.length - 1]}]);
      }
    },
  };
}
