// Every call of aoconnect in legacy mode that can work off the public network, on a process of a published aos module.
//
//   node --import ./aoconnect/router.mjs aoconnect/legacy.mjs     with GATEWAY_URL MU_URL SU_URL CU_URL MODULE SCHEDULER AUTHORITY
import Arweave from 'arweave'
import { connect, createDataItemSigner, createSigner, serializeCron } from '@permaweb/aoconnect'
import { equal, eventually, finish, newWallet, refused, said, step, want } from './steps.mjs'

const { GATEWAY_URL, MU_URL, SU_URL, CU_URL, MODULE, SCHEDULER, AUTHORITY } = process.env
let asked = 0
const fetchCounted = (...given) => { asked++; return fetch(...given) }
const ao = connect({ MODE: 'legacy', GATEWAY_URL, MU_URL, CU_URL, fetch: fetchCounted })
const wallet = newWallet()
const signer = createDataItemSigner(wallet)
const authority = { name: 'Authority', value: AUTHORITY }
const spawn = (...tags) => ao.spawn({ module: MODULE, scheduler: SCHEDULER, signer, tags: [authority, ...tags] })
const evaluate = async (process, data) => {
  const message = await ao.message({ process, signer, data, tags: [{ name: 'Action', value: 'Eval' }] })
  return ao.result({ process, message })
}
const look = async (process, data) => said(await ao.dryrun({ process, data, Owner: owner, tags: [{ name: 'Action', value: 'Eval' }] }))

const pid = await step('spawn', () => spawn({ name: 'Name', value: 'legacy' }))
const page = await fetch(`${SU_URL}/${pid}?process-id=${pid}&limit=1`).then((res) => res.json())
const owner = page.edges[0].node.message.owner.address

const started = Date.now()
await step('message and result', async () => equal(said(await evaluate(pid, 'x = 41 return x + 1')), '42'))
await step('state is kept', async () => equal(said(await evaluate(pid, 'x = x + 1 return x')), '42'))
await step('an error of Lua is in the result', async () => want(/boom/.test(JSON.stringify(await evaluate(pid, 'error("boom")'))), 'boom'))
await step('print and prompt', async () => {
  const { Output } = await evaluate(pid, 'print("hello")')
  want(/hello/.test(said({ Output })) && /aos/.test(JSON.stringify(Output)), 'hello and a prompt, not ' + JSON.stringify(Output))
})
await step('data that is no ASCII', async () => equal(said(await evaluate(pid, 'return "grüß Gott, 世界 🦊"')), 'grüß Gott, 世界 🦊'))
await step('data of 100 kB', async () => equal(said(await evaluate(pid, `local s = [[${'a'.repeat(100000)}]] return #s`)), '100000'))

await step('dryrun reads and leaves no trace', async () => {
  equal(await look(pid, 'x = x + 1 return x'), '43')
  equal(await look(pid, 'x = x + 1 return x'), '43')
})
await step('dryrun of a stranger is not evaluated', async () => {
  want(!/^43$/.test(said(await ao.dryrun({ process: pid, data: 'return x + 1', tags: [{ name: 'Action', value: 'Eval' }] }))), 'no answer')
})

// What a monitored process sends itself is evaluated and pushed without anybody asking; that takes a while, so it is looked at last.
const cron = await step('serializeCron, and a process with crons', async () => {
  const tags = serializeCron({ interval: '1-second', tags: [{ name: 'Action', value: 'Cron' }] })
  equal(tags, [{ name: 'Cron-Interval', value: '1-second' }, { name: 'Cron-Tag-Action', value: 'Cron' }])
  const process = await spawn(...tags)
  await evaluate(process, 'Handlers.add("tick", Handlers.utils.hasMatchingTag("Action", "Cron"), function (m) ticks = (ticks or 0) + 1 print("tick " .. ticks) end)')
  return process
})
await step('monitor', async () => equal((await ao.monitor({ process: cron, signer })).length, 43, 'an id of length'))

const outputs = (results) => results.edges.map((edge) => said(edge.node))
await step('results in pages, upward and downward', async () => {
  const numbered = await spawn()
  for (let i = 1; i <= 5; i++) await evaluate(numbered, `return ${i}`)
  const all = await ao.results({ process: numbered, limit: 100 })
  want(all.edges.length === 6, '6 results, not ' + all.edges.length)
  for (const sort of ['ASC', 'DESC']) {
    const seen = []
    for (let from; ;) {
      const part = await ao.results({ process: numbered, sort, limit: 2, from })
      seen.push(...outputs(part))
      want(part.edges.length <= 2, 'pages of 2')
      if (part.edges.length === 0) break
      from = part.edges.at(-1).cursor
    }
    equal(seen, sort === 'ASC' ? outputs(all) : outputs(all).reverse(), sort)
  }
  const [from, to] = [all.edges[1].cursor, all.edges[3].cursor]
  equal(outputs(await ao.results({ process: numbered, from, to, limit: 10 })), ['2', '3'], 'from is exclusive, to is not')
})

const other = await step('a second process', () => spawn({ name: 'Name', value: 'other' }))
await step('processes send each other messages', async () => {
  await evaluate(other, 'Handlers.add("ping", Handlers.utils.hasMatchingTag("Action", "Ping"), function (m) pings = (pings or 0) + 1 ao.send({ Target = m.From, Action = "Pong", Data = m.Data .. "!" }) end)')
  await evaluate(pid, 'Handlers.add("pong", Handlers.utils.hasMatchingTag("Action", "Pong"), function (m) pong = m.Data end)')
  await evaluate(pid, `ao.send({ Target = "${other}", Action = "Ping", Data = "hi" })`)
  const pong = await eventually('a pong', async () => { const value = await look(pid, 'return pong or "nothing"'); return { value, done: value === 'hi!' } })
  equal([pong, await look(other, 'return pings')], ['hi!', '1'])
})
await step('a process spawns another, and hears of it', async () => {
  await evaluate(pid, `ao.spawn("${MODULE}", { Name = "child", ["Authority"] = "${AUTHORITY}", Data = "-" })`)
  const child = await eventually('a message Spawned', async () => {
    const value = await look(pid, 'for _, m in ipairs(Inbox) do if m.Tags.Action == "Spawned" then return m.Tags.Process end end return "nothing"')
    return { value, done: value.length === 43 }
  })
  want((await ao.result({ process: child, message: child })).Messages, 'the result of the spawn of ' + child)
})
await step('assign', async () => {
  const message = await ao.message({ process: pid, signer, data: 'assigned', tags: [{ name: 'Action', value: 'Nothing' }] })
  await evaluate(other, 'ao.addAssignable(function (m) return true end)')
  equal(await ao.assign({ process: other, message }), message, 'the id')
  const result = await ao.result({ process: other, message })
  want(Array.isArray(result.Messages) && !result.Error, 'a result, not ' + JSON.stringify(result))
  equal(await look(other, 'return Inbox[#Inbox].Data'), 'assigned', 'what came')
})
await step('assign with exclude', async () => {
  const message = await ao.message({ process: pid, signer, data: 'secret', tags: [{ name: 'Action', value: 'Nothing' }] })
  await ao.assign({ process: other, message, exclude: ['Data', 'Anchor'] })
  await ao.result({ process: other, message })
  equal(await look(other, 'return tostring(Inbox[#Inbox].Data)'), 'nil', 'what came')
})

await step('assign with baseLayer', async () => {
  const { hostname: host, port, protocol } = new URL(GATEWAY_URL)
  const arweave = Arweave.init({ host, port, protocol: protocol.slice(0, -1) })
  const transaction = await arweave.createTransaction({ data: 'from the base layer', target: other }, wallet)
  for (const [name, value] of [['Data-Protocol', 'ao'], ['Type', 'Message'], ['Action', 'Nothing']]) transaction.addTag(name, value)
  await arweave.transactions.sign(transaction, wallet)
  equal((await arweave.transactions.post(transaction)).status, 200, 'the status of the upload')
  equal(await ao.assign({ process: other, message: transaction.id, baseLayer: true }), transaction.id, 'the id')
  const result = await ao.result({ process: other, message: transaction.id })
  want(Array.isArray(result.Messages) && !result.Error, 'a result, not ' + JSON.stringify(result))
  equal(await look(other, 'return Inbox[#Inbox].Data'), 'from the base layer', 'what came')
})

await step('signMessage, then sendSignedMessage', async () => {
  const signed = await ao.signMessage({ process: pid, signer, data: 'return "signed before"', tags: [{ name: 'Action', value: 'Eval' }] })
  equal(await ao.sendSignedMessage(signed), signed.id, 'the id')
  equal(said(await ao.result({ process: pid, message: signed.id })), 'signed before')
})
await step('a forged message is refused', async () => {
  const { id, raw } = await ao.signMessage({ process: pid, signer, data: 'return 1', tags: [{ name: 'Action', value: 'Eval' }] })
  const forged = new Uint8Array(raw)
  forged[forged.length - 1] ^= 1
  const answer = await fetch(MU_URL, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: forged })
  equal(answer.status, 400, 'the status of ' + id)
})
await step('a message to nowhere has no result', async () => {
  const result = await ao.result({ process: pid, message: 'A'.repeat(43) })
  want(result.error, 'an error, not ' + JSON.stringify(result))
})
await step('spawn of a module that is not there is refused', () => refused(() => ao.spawn({ module: 'A'.repeat(43), scheduler: SCHEDULER, signer }), /undefined|not found|Required/i))

await step('getMessageById, getMessages, getLastSlot, message with returnAssignmentSlot', async () => {
  const { slot, id } = await ao.message({
    process: pid, signer, data: 'return 1', tags: [{ name: 'Action', value: 'Eval' }], returnAssignmentSlot: true, returnMessageId: true
  })
  equal(await ao.getLastSlot({ processId: pid }), slot, 'the last slot')
  equal((await ao.getMessageById({ processId: pid, messageId: id })).message.id, id)
  const messages = await ao.getMessages({ processId: pid, from: String(started - 60000), to: String(Date.now() + 60000), limit: '1000' })
  equal(messages.edges.at(-1).node.message.id, id, 'the last message')
  equal(messages.edges.map((edge) => Number(edge.node.assignment.tags.find((tag) => tag.name === 'Nonce').value)), [...Array(Number(slot) + 1).keys()], 'nonces')
})
await step('the monitored process has ticked', () => eventually('ticks', async () => {
  const { edges } = await ao.results({ process: cron, limit: 1000 })
  return { value: outputs({ edges }), done: outputs({ edges }).some((text) => /tick 3/.test(text)) }
}))
await step('unmonitor', async () => equal((await ao.unmonitor({ process: cron, signer })).length, 43, 'an id of length'))
await step('createSigner is createDataItemSigner', async () => want(createSigner(wallet) && typeof ao.createDataItemSigner(wallet) === 'function', 'signers'))
await step('every request went through the fetch that connect was given', async () => want(asked > 50, 'more than 50, not ' + asked))
finish()
