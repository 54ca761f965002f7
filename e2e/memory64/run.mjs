// Runs 0.wasm, 1.wasm, ... of a folder in an engine that has 64-bit memories, and prints for each a JSON line: what each
// call of f0 to f3 gave ("trap" or the number), and the pages and the SHA-256 of the memory afterwards.
//
//   node --experimental-wasm-memory64 run.mjs FOLDER HOW_MANY '[[arg, arg], ...]'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const [folder, count, calls] = process.argv.slice(2)
// The arguments are 64-bit integers: JSON.parse would round them.
const args = [...calls.matchAll(/\[(-?\d+),(-?\d+)\]/g)].map(m => [BigInt(m[1]), BigInt(m[2])])
for (let i = 0; i < Number(count); i++) {
  const { instance } = await WebAssembly.instantiate(readFileSync(join(folder, `${i}.wasm`)))
  const out = []
  for (let f = 0; f < 4; f++) {
    for (const [a, b] of args) {
      let result
      try {
        result = String(instance.exports[`f${f}`](a, b))
      } catch (e) {
        if (!(e instanceof WebAssembly.RuntimeError)) throw e
        result = 'trap'
      }
      const memory = new Uint8Array(instance.exports.memory.buffer)
      out.push({ result, pages: memory.length / 65536, sha256: createHash('sha256').update(memory).digest('hex') })
    }
  }
  console.log(JSON.stringify(out))
}
