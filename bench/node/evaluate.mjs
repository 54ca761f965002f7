// Evaluates messages with @permaweb/ao-loader and prints how long each took and what it gave, as one JSON object.
//
//   node --experimental-wasm-memory64 evaluate.mjs LOADER MODULE.wasm FORMAT MESSAGES.jsonl ENV.json copy|keep UNTIMED
//
// LOADER is a folder with node_modules/@permaweb/ao-loader. With copy, the memory after a message is handed in with the
// next, as the reference compute unit does it; with keep, it stays in the instance. The first UNTIMED messages are not timed.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'

const [loader, modulePath, format, messagesPath, envPath, mode, untimed] = process.argv.slice(2)
const write = process.stdout.write.bind(process.stdout)
const require = createRequire(join(resolve(loader), 'node_modules', 'from-here.cjs'))
const AoLoader = require('@permaweb/ao-loader')
const binary = readFileSync(modulePath)
const env = JSON.parse(readFileSync(envPath))
const messages = readFileSync(messagesPath, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line))

const handle = await AoLoader(binary, { format, computeLimit: 9e15, UNSAFE_MEMORY: mode === 'keep' })
const milliseconds = []
const results = []
let memory = null
let cpu = null
for (const [i, message] of messages.entries()) {
  if (i === Number(untimed)) cpu = process.cpuUsage()
  const begin = performance.now()
  const { Memory, ...result } = await handle(memory, message, env)
  const end = performance.now()
  if (mode === 'copy') memory = Memory
  if (i >= Number(untimed)) milliseconds.push(end - begin)
  results.push(result)
}
const used = process.cpuUsage(cpu)
const { version } = JSON.parse(readFileSync(join(resolve(loader), 'node_modules/@permaweb/ao-loader/package.json')))
write(JSON.stringify({ milliseconds, cpu_ms: (used.user + used.system) / 1000, results, node: process.version, loader: version }) + '\n', () => process.exit(0))
