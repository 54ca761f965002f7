// Compares two JSON-lines files of evaluations: node compare.mjs OURS.jsonl THEIRS.jsonl
// Prints the first difference. Results must be equal after JSON parsing, and so must the size and SHA-256 of the whole memory.
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'

const read = path => readFileSync(path, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line))
const [ours, theirs] = process.argv.slice(2).map(read)
let equal = 0
for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
  const [a, b] = [ours[i], theirs[i]]
  const same = a && b && ('error' in b || isDeepStrictEqual(a.result, b.result)) && (a.error !== null) === ('error' in b || b.result?.Error !== undefined) &&
    a.memory_sha256 === b.memory_sha256 && a.memory_bytes === b.memory_bytes
  if (!same) {
    console.log(`the first difference, message ${i}:\n ours   ${JSON.stringify(a)}\n theirs ${JSON.stringify(b)}`)
    break
  }
  equal++
}
console.log(`${equal} of ${theirs.length} messages equal: result and memory`)
process.exit(equal === theirs.length && equal >= 20 ? 0 : 1)
