// Every call of aoconnect in mainnet mode that can work off the public network, on a process of a published aos module.
//
//   node aoconnect/mainnet.mjs     with NODE_URL GATEWAY_URL MU_URL CU_URL MODULE SCHEDULER
import { connect, createSigner } from '@permaweb/aoconnect'
import { equal, eventually, finish, newWallet, refused, said, step, want } from './steps.mjs'

const { NODE_URL, GATEWAY_URL, MU_URL, CU_URL, SCHEDULER } = process.env
const module = process.env.MODULE
delete process.env.AUTHORITY // aoconnect takes it from there; clients have it from the node
const ao = connect({ MODE: 'mainnet', URL: NODE_URL, signer: createSigner(newWallet()) })
const anyone = connect({ MODE: 'mainnet', URL: NODE_URL })
const legacy = connect({ MODE: 'legacy', GATEWAY_URL, MU_URL, CU_URL })
const action = [{ name: 'Action', value: 'Eval' }]
const evaluate = async (process, data) => ao.result({ process, slot: await ao.message({ process, data, tags: action }) })
const look = async (process, data) => said(await ao.dryrun({ process, data, tags: action }))
const ask = (path, options) => fetch(NODE_URL + path, options)

await step('the address of the node', async () => equal(await (await ask('/~meta@1.0/info/address')).text(), SCHEDULER))
const pid = await step('spawn', () => ao.spawn({ module, data: '-- hello', tags: [{ name: 'Name', value: 'mainnet' }] }))
want(pid?.length === 43, 'a process')
await step('message gives the slot', async () => equal(await ao.message({ process: pid, data: 'x = 41 return x', tags: action }), 1))
await step('result by slot', async () => equal(said(await ao.result({ process: pid, slot: 1 })), '41'))
await step('result of the spawn, slot 0', async () => want(Array.isArray((await ao.result({ process: pid, slot: 0 })).Messages), 'messages'))
const sent = await step('message with returnMessageId and returnAssignmentSlot', async () => {
  const both = await ao.message({ process: pid, data: 'x = x + 1 return x', tags: action, returnMessageId: true, returnAssignmentSlot: true })
  equal([both.slot, both.id.length], [2, 43])
  return both
})
await step('result by message', async () => equal(said(await ao.result({ process: pid, message: sent.id })), '42'))
await step('the same in legacy mode', async () => equal(said(await legacy.result({ process: pid, message: sent.id })), '42'))
await step('message with fullResponse', async () => {
  equal(said(await ao.message({ process: pid, data: 'return "at once"', tags: action, opts: { fullResponse: true } })), 'at once')
})
await step('an error of Lua is in the result', async () => want(/boom/.test(JSON.stringify(await evaluate(pid, 'error("boom")'))), 'boom'))
await step('results gives the last', async () => {
  want(/the last$/.test(said(await evaluate(pid, 'return "the last"'))), 'the last')
  const { edges } = await ao.results({ process: pid })
  equal([edges.length, edges[0].cursor, said(edges[0].node).slice(-8)], [1, '5', 'the last'])
})
await step('results without a signer', async () => equal((await anyone.results({ process: pid })).edges[0].cursor, '5'))
await step('dryrun is the signer\'s, and leaves no trace', async () => {
  equal([await look(pid, 'x = x + 1 return x'), await look(pid, 'x = x + 1 return x')], ['43', '43'])
})
await step('dryrun has the tags of the path', async () => {
  await evaluate(pid, 'Handlers.add("echo", Handlers.utils.hasMatchingTag("Action", "Echo"), function (m) ao.send({ Target = m.From, Data = m.Tags.Text .. "/" .. m.Data }) end)')
  const tags = [{ name: 'Action', value: 'Echo' }, { name: 'Text', value: 'a b/c ü=1' }]
  equal((await ao.dryrun({ process: pid, data: 'D', tags })).Messages[0].Data, 'a b/c ü=1/D')
  equal((await anyone.dryrun({ process: pid, tags })).Messages[0].Data, 'a b/c ü=1/1234', 'without a signer')
})
await step('processes send each other messages', async () => {
  const other = await ao.spawn({ module, tags: [] })
  await evaluate(other, 'Handlers.add("ping", Handlers.utils.hasMatchingTag("Action", "Ping"), function (m) ao.send({ Target = m.From, Action = "Pong", Data = m.Data .. "!" }) end)')
  await evaluate(pid, 'Handlers.add("pong", Handlers.utils.hasMatchingTag("Action", "Pong"), function (m) pong = m.Data end)')
  await evaluate(pid, `ao.send({ Target = "${other}", Action = "Ping", Data = "hi" })`)
  await eventually('a pong', async () => { const value = await look(pid, 'return pong or "nothing"'); return { value, done: value === 'hi!' } })
})

await step('request, signed as an HTTP message', async () => {
  const answer = await ao.request({ path: '/~meta@1.0/info', method: 'GET', n: 5, list: ['a', 'b'], Name: 'x, y' })
  equal([answer.status, await answer.json()], [200, { address: SCHEDULER }])
  const value = await ao.request({ path: `/${pid}~process@1.0/compute/results/raw/Output/data`, method: 'GET', slot: 1 })
  equal([value.status, await value.text()], [200, '41'])
})
await step('request, signed as an item', async () => {
  const answer = await ao.request({ path: `/${pid}~process@1.0/push`, 'signing-format': 'ans104', target: pid, Action: 'Eval', data: 'return "by request"' })
  equal([answer.status, said((await answer.json()).raw)], [200, 'by request'])
})
await step('paths into a result', async () => {
  const text = async (path) => (await ask(path)).text()
  equal(await text(`/${pid}~process@1.0/compute&slot=1/results/raw/output/data`), '41')
  equal(await text(`/${pid}/compute=1/results/raw/Output/data`), '41')
  equal(await text(`/${pid}~process@1.0/compute/results/raw/Output/data?slot=1`), '41')
  equal(await text(`/${pid}~process@1.0/now/results/raw/Output/data`), 'by request')
  equal(await text(`/${pid}~process@1.0/now/results/raw/Output/data/serialize~json@1.0`), '"by request"')
})

await step('an HTTP message is not scheduled', async () => {
  const answer = await ao.request({ path: `/${pid}~process@1.0/push`, method: 'POST', target: pid, Action: 'Eval' })
  equal(answer.status, 422)
})
await step('a signature that is wrong is refused', async () => {
  let sentHeaders
  const real = globalThis.fetch
  globalThis.fetch = async (url, options) => { sentHeaders = options.headers; return real(url, options) }
  await ao.request({ path: '/~meta@1.0/info', method: 'GET', quantity: '1' })
  globalThis.fetch = real
  const headers = Object.fromEntries(new Headers(sentHeaders))
  equal((await ask('/~meta@1.0/info', { headers })).status, 200, 'as it was')
  equal((await ask('/~meta@1.0/info', { headers: { ...headers, quantity: '1000' } })).status, 400, 'another quantity')
})
await step('a forged item is refused', async () => {
  let body
  const real = globalThis.fetch
  globalThis.fetch = async (url, options) => { body = options.body; return real(url, options) }
  await ao.message({ process: pid, data: 'return 1', tags: action })
  globalThis.fetch = real
  const forged = new Uint8Array(body)
  forged[forged.length - 1] ^= 1
  equal((await ask(`/${pid}~process@1.0/push`, { method: 'POST', headers: { 'content-type': 'application/ans104' }, body: forged })).status, 400)
})
await step('what is not there', async () => {
  await refused(() => ao.message({ process: 'A'.repeat(43), data: 'x' }), /Error sending message/)
  await refused(() => ao.result({ process: pid, slot: 99 }), /Error getting result/)
  equal((await ask(`/${pid}~process@1.0/compute/results=99`)).status, 404)
  equal((await ask('/~greedy@1.0/x')).status, 404)
})
finish()
