// Evaluates messages with @permaweb/ao-loader and @permaweb/weavedrive, as the reference compute unit puts them together,
// and prints, for each, one JSON line: the result, and the size and SHA-256 of the whole linear memory afterwards.
//
//   TZ=UTC node --experimental-wasm-memory64 evaluate.mjs MODULE.wasm FORMAT MESSAGES.jsonl ENV.json GATEWAY
//
// A message that waits for ever, because an error of the drive reaches nobody, gets a line with "halt" and the memory of
// before. Every message gets a new instance.
//
// The loader puts its counter in the place of Date.now and performance.now, at which HTTP clients look as often as they please: a
// module's time would depend on the network. Requests therefore go out from a thread of their own.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import AoLoader from '@permaweb/ao-loader'
import WeaveDrive from '@permaweb/weavedrive'

const [modulePath, format, messagesPath, envPath, gateway] = process.argv.slice(2)
const print = process.stdout.write.bind(process.stdout)
console.error = () => {}
const binary = readFileSync(modulePath)
const env = JSON.parse(readFileSync(envPath))
const messages = readFileSync(messagesPath, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line))
const lower = ({ Id, Owner, Tags }) => ({ id: Id, owner: Owner, tags: Tags })

const network = new Worker(`
  const { parentPort } = require('node:worker_threads')
  parentPort.on('message', async ({ number, url, options }) => {
    const answer = await fetch(url, options)
    parentPort.postMessage({ number, status: answer.status, headers: [...answer.headers], body: await answer.arrayBuffer() })
  })`, { eval: true })
const waiting = new Map()
network.on('message', ({ number, status, headers, body }) => {
  waiting.get(number)(new Response(body.byteLength ? body : null, { status, headers }))
  waiting.delete(number)
})
let asked = 0
globalThis.fetch = (url, options) => new Promise(resolve => {
  waiting.set(++asked, resolve)
  network.postMessage({ number: asked, url: String(url), options })
})

let rejected = null
process.on('unhandledRejection', error => rejected?.({ halt: String(error?.message ?? error) }))

let memory = null
for (const message of messages) {
  const handle = await AoLoader(binary, {
    format, computeLimit: 9e12, WeaveDrive, ARWEAVE: gateway, spawn: lower(env.Process), module: lower(env.Module), blockHeight: message['Block-Height']
  })
  const halted = new Promise(resolve => { rejected = resolve })
  const evaluated = handle(memory, message, env).then(({ Memory, ...result }) => {
    if (!result.Error) memory = Memory
    return { result }
  }, error => ({ error: typeof error === 'string' ? error : String(error?.message ?? error) }))
  const line = await Promise.race([evaluated, halted])
  if (memory) {
    line.memory_bytes = memory.byteLength
    line.memory_sha256 = createHash('sha256').update(memory).digest('hex')
  }
  print(JSON.stringify(line) + '\n')
}
process.exit(0)
