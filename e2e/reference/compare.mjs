// Makes a history of messages (history.mjs) on a network and asks both units for everything that they can be asked: results of every
// assignment, dry runs, whole memories, crons, pages of results. Prints each difference, and exits 1 if there is one.
//
//   MESSAGES   how many things are done (default 60); each may cause several messages
//   MINUTES    after which no more is done (default: none)
//   SEED       of the history (default 1)
//
// Where the reference is known to be wrong (README.md), ours is compared with what is right, and how often the reference was
// wrong is counted.
import { createHash, generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRequire } from 'node:module'
import { action, random } from './history.mjs'
const require = createRequire(process.cwd() + '/')
const { connect, createDataItemSigner } = require('@permaweb/aoconnect')
const { ArweaveSigner, createData } = require('@dha-team/arbundles')
const Arweave = require('arweave')

const { GATEWAY_URL, MU_URL, SU_URL, CU_URL, REFERENCE_URL, SCHEDULER, AUTHORITY } = process.env
const modules = { lua32: process.env.MODULE, lua64: process.env.MODULE64, metered: process.env.MODULE_METERED }
const messages = Number(process.env.MESSAGES ?? 60)
const minutes = Number(process.env.MINUTES ?? 1e6)
const batch = Math.min(100, Math.max(40, Math.ceil(messages / 8)))
const next = random(Number(process.env.SEED ?? 1))
const wallet = generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 }).privateKey.export({ format: 'jwk' })
const address = createHash('sha256').update(Buffer.from(wallet.n, 'base64url')).digest('base64url')
const signer = createDataItemSigner(wallet)
const gateway = new URL(GATEWAY_URL)
const arweave = Arweave.init({ host: gateway.hostname, port: gateway.port, protocol: 'http' })
const ao = connect({ MODE: 'legacy', MU_URL, CU_URL, GATEWAY_URL })

const counts = {}
const count = (what, n = 1) => { counts[what] = (counts[what] ?? 0) + n }
let differences = 0
function differ (what, reference, ours) {
  differences++
  let same = 0
  while (same < reference.length && reference[same] === ours[same]) same++
  const shown = text => text.slice(Math.max(0, same - 100), same + 200)
  console.log(`DIFFERENT ${what}, from character ${same} on\n  reference ${shown(reference)}\n  ours      ${shown(ours)}`)
}
async function ask (base, path, options) {
  // fetch gives up after 5 minutes without an answer, and a stretch of messages may take longer on a busy machine.
  const response = await fetch(base + path, options).catch(failure => {
    if (failure.cause?.code !== 'UND_ERR_HEADERS_TIMEOUT' || options?.method) throw failure
    return fetch(base + path)
  })
  return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
}
const text = answer => answer.status + ' ' + answer.body.toString()
// forgive makes ours what the reference would say, where it is known to say less of an error.
function forgive (reference, ours) {
  if (reference.status !== 200 || ours.status !== 200) return
  const [theirs, said] = [JSON.parse(reference.body), JSON.parse(ours.body)]
  if (theirs.Error === undefined || said.Error === undefined) return
  if (JSON.stringify(theirs.Error) === '{}' && String(said.Error).startsWith('process fault: ')) {
    count('wrong in the reference: what the host stopped has the Error {}')
    said.Error = theirs.Error
  }
  if (theirs.GasUsed === undefined && said.GasUsed !== undefined) {
    count('wrong in the reference: no GasUsed of what failed')
    delete said.GasUsed
  }
  ours.body = Buffer.from(JSON.stringify(said))
}
async function both (kind, what, path, options) {
  const [reference, ours] = await Promise.all([ask(REFERENCE_URL, path, options), ask(CU_URL, path, options)])
  const answer = JSON.parse(ours.body)
  count(kind)
  if (text(reference) !== text(ours)) forgive(reference, ours)
  if (text(reference) !== text(ours)) differ(`${kind} ${what}`, text(reference), text(ours))
  return answer
}
// bothStates compares memories, and of what they are said to be the memories unless the last message was a copy: the reference
// does not say that it has seen it.
async function bothStates (process, to, afterCopy) {
  const [reference, ours] = await Promise.all([ask(REFERENCE_URL, `/state/${process}?to=${to}`), ask(CU_URL, `/state/${process}?to=${to}`)])
  count('memories')
  count('megabytes of memory', Math.round(reference.body.length / 1e6))
  const shown = a => `${a.status} ${a.body.length} bytes ${createHash('sha256').update(a.body).digest('hex')}` +
    (afterCopy ? '' : ` nonce ${a.headers.get('last-ordinate')} time ${a.headers.get('last-timestamp')} height ${a.headers.get('last-block-height')}`)
  if (shown(reference) !== shown(ours)) differ(`memory of ${process} to ${to}`, shown(reference), shown(ours))
}
const json = async url => JSON.parse((await ask(url, '')).body)
const now = async () => Number((await json(`${SU_URL}/timestamp`)).timestamp)

// A process and what is known of its schedule: how far it has been compared, which messages it has had, which were copies.
const processes = new Map()
const copyOf = new Map() // message: the message that it is a copy of
const named = {}
const names = []
function watch (id, more = {}) {
  if (!processes.has(id)) processes.set(id, { id, nonce: -1, seen: new Set(), ids: new Set(), assignable: [], ...more })
  return processes.get(id)
}
async function spawn (name, module, tags, more) {
  const id = await ao.spawn({ module, scheduler: SCHEDULER, signer, data: '', tags: [{ name: 'Authority', value: AUTHORITY }, { name: 'Authority', value: address }, ...tags] })
  named[name] = id
  names.push(name)
  watch(id, { name, ...more })
  return id
}
let anchors = 0
const send = (process, data, tags) => ao.message({
  process, signer, data, anchor: String(++anchors).padStart(32, '0'), tags: tags.map(([name, value]) => ({ name, value }))
})
async function post (url, draft) {
  const author = new ArweaveSigner(wallet)
  const item = createData(draft.data ?? ' ', author, { target: draft.target, anchor: draft.anchor, tags: draft.tags.map(([name, value]) => ({ name, value })) })
  await item.sign(author)
  const answer = await ask(url, '', { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item.getRaw() })
  if (answer.status >= 300) throw new Error(`POST ${url}: ${text(answer)}`)
  return item.id
}
async function assign (process, message, exclude) {
  const answer = await ask(MU_URL, `/?process-id=${process}&assign=${message}${exclude ? '&exclude=' + exclude : ''}`, { method: 'POST' })
  if (answer.status >= 300) throw new Error(`assign ${message}: ${text(answer)}`)
}
const pick = list => list[Math.floor(next() * list.length)]

async function perform (i) {
  const todo = action(i, next, names)
  const process = named[todo.process]
  const other = named[todo.other]
  const known = processes.get(process)
  const protocol = [['Data-Protocol', 'ao'], ['Variant', 'ao.TN.1'], ['Type', 'Message']]
  count('done: ' + todo.kind)
  switch (todo.kind) {
    case 'eval':
      known.assignable.push(await send(process, todo.lua ?? todo.send(other), [['Action', 'Eval'], ...todo.tags]))
      break
    case 'message':
      known.assignable.push(await send(process, todo.data, todo.tags))
      break
    case 'binary':
      await post(MU_URL, { target: process, data: Buffer.from([0, 255, 254, 65, 0xc3, 0x28]), tags: [...protocol, ['Action', 'Ping']] })
      break
    case 'copies': {
      // What a process sent to another, signed by two messengers: each signature is another, and so is the id.
      const draft = { target: process, anchor: String(++anchors).padStart(32, '0'), data: 'x = (x or 0) + 17; return x', tags: [...protocol, ['From-Process', other], ['Action', 'Eval']] }
      const first = await post(MU_URL, draft)
      for (let n = 0; n < todo.times; n++) {
        if (n === 1) await send(process, 'return "between"', [['Action', 'Eval']])
        copyOf.set(await post(MU_URL, draft), first)
      }
      break
    }
    case 'assign': {
      const message = pick(processes.get(other).assignable)
      if (message && process !== other && !known.seen.has(message)) {
        known.seen.add(message)
        await assign(process, message, todo.exclude)
      }
      break
    }
    case 'assign again': {
      const message = pick(known.assignable)
      if (message) await assign(process, message)
      break
    }
    case 'assign data':
      await assign(process, await post(GATEWAY_URL + '/tx', { data: `data ${i}`, tags: [['Action', 'Ping'], ['Content-Type', 'text/plain']] }))
      break
    case 'assign transaction': {
      const transaction = await arweave.createTransaction({ data: `transaction ${i}`, target: address }, wallet)
      transaction.addTag('Action', 'Ping')
      await arweave.transactions.sign(transaction, wallet)
      const answer = await arweave.transactions.post(transaction)
      if (answer.status !== 200) throw new Error(`POST /tx: ${answer.status} ${JSON.stringify(answer.data)}`)
      await assign(process, transaction.id)
      break
    }
    case 'spawn':
      await send(process, `ao.spawn("${modules.lua32}", { Data = "1984", Tags = { { name = "Authority", value = "${AUTHORITY}" }, { name = "N", value = "${i}" } } })`, [['Action', 'Eval']])
      break
    case 'drive':
      if (named.wide) await send(named.wide, todo.read(drive), [['Action', 'Eval']])
      break
    case 'endless':
      if (todo.process === 'metered') await send(process, 'while true do end', [['Action', 'Eval']])
  }
}

// newSlots gives what was scheduled on a process since the last time.
async function newSlots (known) {
  const edges = []
  for (let more = true; more;) {
    const from = known.nonce + edges.length // exclusive
    const page = await json(`${SU_URL}/${known.id}?process-id=${known.id}&to-nonce=1000000000${from < 0 ? '' : '&from-nonce=' + from}&limit=500`)
    edges.push(...page.edges)
    more = page.page_info.has_next_page
  }
  known.nonce += edges.length
  return edges.map(({ node }) => {
    const tag = name => node.assignment.tags.find(t => t.name === name)?.value
    const sent = name => node.message?.tags.find(t => t.name === name)?.value
    if (sent('Action') === 'Spawned' && sent('Process')) watch(sent('Process'), { child: true })
    const slot = { message: tag('Message'), nonce: tag('Nonce'), time: Number(tag('Timestamp')), assigned: !node.message }
    // An assignment is a copy if its message was assigned or sent before, but not if it was pushed: a pushed message is known by its content.
    slot.copy = copyOf.has(slot.message) || known.ids.has(slot.message)
    if (slot.assigned || sent('From-Process') === undefined) known.ids.add(slot.message)
    if (slot.copy) count('copies')
    return slot
  })
}

const answered = new Map() // message: the process for which the reference was asked
// compareSchedule asks both for the result of everything that was scheduled since, beginning with the last.
async function compareSchedule (known) {
  const slots = await newSlots(known)
  if (slots.length === 0) return
  if (slots.at(-1).copy) {
    // The reference evaluates nothing more of a process after a stretch that ends with a copy, see stuck below.
    await send(known.id, 'return "not a copy"', [['Action', 'Eval']])
    slots.push(...await newSlots(known))
  }
  count('messages', slots.length)
  for (const slot of [...slots].reverse()) {
    const path = message => `/result/${message}?process-id=${known.id}&no-busy=1`
    if (copyOf.has(slot.message)) {
      const [original, reference, ours] = await Promise.all([ask(REFERENCE_URL, path(copyOf.get(slot.message))), ask(REFERENCE_URL, path(slot.message)), ask(CU_URL, path(slot.message))])
      count('results')
      if (text(reference) !== text(original)) count('wrong in the reference: the result of a copy is that of another message')
      if (text(original) !== text(ours)) differ(`result of a copy, nonce ${slot.nonce} of ${known.id}`, text(original), text(ours))
    } else if (answered.has(slot.message) && answered.get(slot.message) !== known.id) {
      count('not asked, the reference would give the result on the process that was asked first')
    } else {
      answered.set(slot.message, known.id)
      const result = await both('results', `nonce ${slot.nonce} of ${known.name ?? 'a child'} ${known.id}`, path(slot.message))
      if (result.Error) count('errors')
      if (result.GasUsed > 0) count('results with gas')
      if (String(result.Error).includes('out of gas')) count('out of gas')
    }
  }
  const last = slots.at(-1)
  if (!known.cron) await bothStates(known.id, last.time, last.copy)
}

// stuck shows what the reference makes of a process after a stretch of messages of which the last is a copy: it keeps the copy's place in
// the hash chain with the time of the message before, so it gets the copy again and finds that it does not follow itself.
async function stuck () {
  const process = await ao.spawn({ module: modules.lua32, scheduler: SCHEDULER, signer, data: '', tags: [{ name: 'Authority', value: address }] })
  const draft = { target: process, anchor: String(++anchors).padStart(32, '0'), data: 'return 1', tags: [['Data-Protocol', 'ao'], ['Variant', 'ao.TN.1'], ['Type', 'Message'], ['From-Process', process], ['Action', 'Eval']] }
  await post(MU_URL, draft)
  const path = message => `/result/${message}?process-id=${process}`
  const copy = await post(MU_URL, draft)
  await Promise.all([ask(REFERENCE_URL, path(copy)), ask(CU_URL, path(copy))])
  const after = await send(process, 'return 2', [['Action', 'Eval']])
  const [reference, ours] = await Promise.all([ask(REFERENCE_URL, path(after)), ask(CU_URL, path(after))])
  if (reference.status === 422) count('wrong in the reference: 422 for all that follows a stretch which ends with a copy')
  if (ours.status !== 200 || JSON.parse(ours.body).Error) differ('result after a copy', 'no Error', text(ours))
}

const crons = [['3-seconds', 'Cron'], ['2-seconds', 'Two'], ['1-block', 'Block']]
  .flatMap(([interval, kind]) => [{ name: 'Cron-Interval', value: interval }, { name: 'Cron-Tag-Action', value: kind }])
await spawn('plain', modules.lua32, [])
await spawn('second', modules.lua32, [{ name: 'Name', value: 'second' }])
await spawn('cron', modules.lua32, crons, { cron: true })
if (modules.lua64) await spawn('wide', modules.lua64, [{ name: 'Extension', value: 'WeaveDrive' }, { name: 'Attestor', value: address }])
if (modules.metered) await spawn('metered', modules.metered, [{ name: 'Compute-Limit', value: '60000000000' }])
const drive = {
  item: await post(GATEWAY_URL + '/tx', { data: 'a line of text, and nothing but text\n'.repeat(3000), tags: [['Größe', 'groß "und" \u2028']] }),
  height: (await json(`${GATEWAY_URL}/info`)).height - 2
}
await post(GATEWAY_URL + '/tx', { tags: [['Data-Protocol', 'ao'], ['Type', 'Attestation'], ['Message', drive.item]] })
const started = Date.now()
for (let i = 0; i < messages; i++) {
  await perform(i)
  const late = Date.now() - started > minutes * 60e3
  if ((i + 1) % batch !== 0 && i + 1 < messages && !late) continue
  for (const known of [...processes.values()]) await compareSchedule(known)
  await both('dry runs', i, `/dry-run?process-id=${named.plain}`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ Id: '1234', Target: named.plain, Owner: '1234', Anchor: '0', Data: 'return x', Tags: [{ name: 'Action', value: 'Eval' }, { name: 'I', value: String(i) }] })
  })
  console.log(`${Math.round((Date.now() - started) / 1000)} s: ${i + 1} of ${messages} done, ${processes.size} processes, ${counts.messages} messages, ${differences} differences`)
  if (late) break
}
// What is still being pushed arrives.
for (let before = -1; before !== counts.messages;) {
  before = counts.messages
  await sleep(2000)
  for (const known of [...processes.values()]) await compareSchedule(known)
}
// Crons, in one stretch: the reference is asked once only after the last message, since it may repeat some otherwise.
await sleep(7000)
const until = await now()
await bothStates(named.cron, until)
const cursor = Buffer.from(JSON.stringify({ timestamp: until })).toString('base64')
await both('pages', 'of crons', `/cron/${named.cron}?to=${cursor}&limit=1000`)
for (const { id } of processes.values()) {
  // The reference leaves out results with an Error after it has cut the page, so it is asked for all at once.
  const all = JSON.parse((await ask(REFERENCE_URL, `/results/${id}?to=${cursor}&limit=100000`)).body)
  count('results in pages', all.edges.length)
  for (const sort of ['ASC', 'DESC']) {
    const edges = []
    for (let from = '', more = true; more; from = '&from=' + encodeURIComponent(edges.at(-1).cursor)) {
      const page = JSON.parse((await ask(CU_URL, `/results/${id}?to=${sort === 'ASC' ? cursor : ''}&limit=37&sort=${sort}${from}`)).body)
      edges.push(...page.edges)
      more = page.pageInfo.hasNextPage
    }
    const cursorOf = edge => JSON.parse(Buffer.from(edge.cursor, 'base64'))
    const texts = list => list.map(edge => JSON.stringify(edge.node) + JSON.stringify({ ...cursorOf(edge), sort: '' }))
    const ours = sort === 'ASC' ? edges : edges.reverse().filter(edge => cursorOf(edge).timestamp <= until)
    count('pages', Math.ceil(edges.length / 37))
    if (texts(all.edges).join('\n') !== texts(ours).join('\n')) differ(`results of ${id} ${sort}`, texts(all.edges).join('\n'), texts(ours).join('\n'))
  }
}
await stuck()
for (const what of Object.keys(counts).sort()) console.log(`${String(counts[what]).padStart(8)}  ${what}`)
console.log(`${Math.round((Date.now() - started) / 1000)} s, ${differences} differences`)
process.exit(differences === 0 ? 0 : 1)
