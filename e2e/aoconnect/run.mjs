// Drives a network with the unmodified aoconnect, in legacy mode: spawns a process, sends it a message, reads the result, tries
// a dry run, lists results, assigns, monitors. Prints one JSON object; exits 1 if a step fails.
//
//   GATEWAY_URL MU_URL SU_URL CU_URL   the units
//   MODULE                             id of the module to spawn
//   SCHEDULER, AUTHORITY               addresses of the scheduler and the messenger
//   ACTION, DATA                       what to send (default: Eval, "return 1 + 1")
//   WALLET                             file of an Arweave wallet (default: a new one)
import { readFileSync } from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import { createRequire } from 'node:module'
const require = createRequire(process.cwd() + '/')
const { connect, createDataItemSigner } = require('@permaweb/aoconnect')

const { GATEWAY_URL, MU_URL, CU_URL, SU_URL, MODULE, SCHEDULER, AUTHORITY, WALLET } = process.env
const { ACTION = 'Eval', DATA = 'return 1 + 1' } = process.env
const wallet = WALLET
  ? JSON.parse(readFileSync(WALLET, 'utf8'))
  : generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 }).privateKey.export({ format: 'jwk' })
const signer = createDataItemSigner(wallet)
const ao = connect({ MODE: 'legacy', MU_URL, CU_URL, GATEWAY_URL })

const report = { steps: {} }
let failed = false
async function step (name, action) {
  const start = Date.now()
  try {
    const value = await action()
    report.steps[name] = { ok: true, ms: Date.now() - start, value }
    return value
  } catch (error) {
    failed = true
    report.steps[name] = { ok: false, ms: Date.now() - start, error: String(error?.stack ?? error) }
  }
}
function want (condition, what) {
  if (!condition) throw new Error('expected ' + what)
}

const pid = await step('spawn', () => ao.spawn({
  module: MODULE, scheduler: SCHEDULER, signer, data: '-- hello', tags: [{ name: 'Authority', value: AUTHORITY }, { name: 'Name', value: 'e2e' }]
}))
const mid = pid && await step('message', () => ao.message({
  process: pid, signer, data: DATA, anchor: '0123456789abcdefghijklmnopqrstuv', tags: [{ name: 'Action', value: ACTION }]
}))
if (mid) {
  await step('result', async () => {
    const result = await ao.result({ process: pid, message: mid })
    want(Array.isArray(result.Messages) && Array.isArray(result.Spawns) && 'Output' in result, 'a result, not ' + JSON.stringify(result))
    return result
  })
  await step('result of the spawn', async () => {
    const result = await ao.result({ process: pid, message: pid })
    want(Array.isArray(result.Messages), 'a result, not ' + JSON.stringify(result))
    return result
  })
  await step('dryrun', async () => {
    const result = await ao.dryrun({ process: pid, data: DATA, tags: [{ name: 'Action', value: ACTION }] })
    want(Array.isArray(result.Messages), 'a result, not ' + JSON.stringify(result))
    return result
  })
  await step('results', async () => {
    const results = await ao.results({ process: pid, sort: 'DESC', limit: 5 })
    want(results.edges.length > 0 && results.edges[0].cursor, 'at least one result, not ' + JSON.stringify(results))
    return results
  })
  await step('monitor', () => ao.monitor({ process: pid, signer }))
  await step('unmonitor', () => ao.unmonitor({ process: pid, signer }))
  const other = await step('second spawn', () => ao.spawn({ module: MODULE, scheduler: SCHEDULER, signer, tags: [{ name: 'Authority', value: AUTHORITY }] }))
  await step('assign', () => ao.assign({ process: other, message: mid }))
  await step('schedule', async () => {
    const page = await fetch(`${SU_URL}/${pid}?process-id=${pid}&limit=1000`).then((res) => res.json())
    const nonces = page.edges.map((e) => Number(e.node.assignment.tags.find((t) => t.name === 'Nonce').value))
    want(nonces.length >= 2 && nonces.every((n, i) => n === i), 'nonces from 0, not ' + nonces)
    want(page.edges[0].node.message.id === pid && page.edges[1].node.message.id === mid, 'the process and then the message')
    return nonces
  })
  await step('a forged message is refused', async () => {
    const raw = new Uint8Array(await fetch(`${GATEWAY_URL}/item/${mid}`).then((res) => res.arrayBuffer()))
    raw[raw.length - 1] ^= 1
    const answer = await fetch(MU_URL, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: raw })
    want(answer.status === 400, 'status 400, not ' + answer.status)
    want((await fetch(MU_URL)).ok, 'the messenger to be up')
    return answer.json()
  })
}
console.log(JSON.stringify(report, null, 1))
process.exit(failed ? 1 : 0)
