// Evaluates messages with @permaweb/ao-loader and prints, for each, one JSON line: the result, and the size and
// SHA-256 of the whole linear memory afterwards.
//
//   TZ=UTC node --experimental-wasm-memory64 evaluate.mjs MODULE.wasm FORMAT MESSAGES.jsonl ENV.json [--fresh]
//
// COMPUTE_LIMIT is the limit of gas, in formats that count it.
// --fresh makes a new instance for every message and hands it the memory; otherwise one instance stays, as in a
// compute unit that follows a process. A message whose evaluation throws, or whose result has an Error, leaves the
// memory as it was and ends the instance, as in the reference compute unit.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import AoLoader from '@permaweb/ao-loader'

const [modulePath, format, messagesPath, envPath, mode] = process.argv.slice(2)
const print = process.stdout.write.bind(process.stdout)
const binary = readFileSync(modulePath)
const env = JSON.parse(readFileSync(envPath))
const messages = readFileSync(messagesPath, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line))

// Early formats hand the path and the arguments of this script to the module's main.
process.argv.splice(1, Infinity, './this.program')

let handle = null
let memory = null
for (const message of messages) {
  if (!handle || mode === '--fresh') handle = await AoLoader(binary, { format, computeLimit: Number(process.env.COMPUTE_LIMIT ?? 9e12) })
  const line = {}
  try {
    const { Memory, ...result } = await handle(memory, message, env)
    line.result = result
    if (result.Error) handle = null
    else memory = Memory
  } catch (error) {
    line.error = typeof error === 'string' ? error : String(error?.message ?? error)
    handle = null
  }
  if (memory) {
    line.memory_bytes = memory.byteLength
    line.memory_sha256 = createHash('sha256').update(memory).digest('hex')
  }
  print(JSON.stringify(line) + '\n')
}
process.exit(0)
