// Sends processes messages of every kind and asks both units for everything that they can be asked: results, dry runs, memories,
// results of crons, pages of results. Prints each difference, and exits 1 if there is one.
//
// Not asked, because the reference does otherwise and is wrong (see api/ROUTES.md): pages with results that have an Error, the
// second page of descending results, /cron with a time for "to" (500 there).
import { createHash, generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRequire } from 'node:module'
const require = createRequire(process.cwd() + '/')
const { connect, createDataItemSigner } = require('@permaweb/aoconnect')

const { GATEWAY_URL, MU_URL, SU_URL, CU_URL, REFERENCE_URL, MODULE, SCHEDULER, AUTHORITY } = process.env
const messages = Number(process.env.MESSAGES ?? 60)
const wallet = generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 }).privateKey.export({ format: 'jwk' })
const signer = createDataItemSigner(wallet)
const ao = connect({ MODE: 'legacy', MU_URL, CU_URL, GATEWAY_URL })

const lua = [
  i => `return ${i} + 1`,
  i => `x = (x or 0) + ${i}; return x`,
  () => 'error("as asked")',
  () => 'local t = {} for i = 1, 2000 do t[i] = (i * 7919) % 1009 end table.sort(t) return t[1000]',
  i => `ao.send({ Target = ao.id, Action = "Ping", Data = "${i}" }) return #Inbox`,
  () => 'return require("json").encode({ a = { 1, 2, 3 }, b = "\\u{1F600}" })',
  i => `Handlers.add("h${i}", Handlers.utils.hasMatchingTag("Action", "Ping"), function (m) seen = (seen or 0) + 1 end) return seen`,
  () => 'return string.rep("x", 3000)',
  () => 'this is no lua',
  () => 'local function f(n) return f(n + 1) + 1 end return f(1)'
]

let differences = 0
let compared = 0
function differ (what, reference, ours) {
  differences++
  let same = 0
  while (reference[same] === ours[same]) same++
  const shown = text => text.slice(Math.max(0, same - 100), same + 200)
  console.log(`DIFFERENT ${what}, from character ${same} on\n  reference ${shown(reference)}\n  ours      ${shown(ours)}`)
}
async function ask (base, path, options) {
  const response = await fetch(base + path, options)
  return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
}
async function both (what, path, options) {
  const [reference, ours] = await Promise.all([ask(REFERENCE_URL, path, options), ask(CU_URL, path, options)])
  compared++
  const text = a => a.status + ' ' + a.body.toString()
  if (text(reference) !== text(ours)) differ(what, text(reference), text(ours))
  return { reference, ours }
}
async function bothStates (process, to) {
  const [reference, ours] = await Promise.all([ask(REFERENCE_URL, `/state/${process}?to=${to}`), ask(CU_URL, `/state/${process}?to=${to}`)])
  compared++
  const text = a => `${a.status} ${a.body.length} bytes ${createHash('sha256').update(a.body).digest('hex')} nonce ${a.headers.get('last-ordinate')} time ${a.headers.get('last-timestamp')} height ${a.headers.get('last-block-height')}`
  if (text(reference) !== text(ours)) differ(`state to ${to}`, text(reference), text(ours))
}
const now = async () => Number((await (await fetch(`${SU_URL}/timestamp`)).json()).timestamp)

async function spawn (tags) {
  const process = await ao.spawn({ module: MODULE, scheduler: SCHEDULER, signer, data: '', tags: [{ name: 'Authority', value: AUTHORITY }, ...tags] })
  await both('result of the spawn', `/result/${process}?process-id=${process}`)
  return process
}
const plain = await spawn([])
const cron = await spawn([
  { name: 'Cron-Interval', value: '3-seconds' }, { name: 'Cron-Tag-Action', value: 'Cron' },
  { name: 'Cron-Interval', value: '2-seconds' }, { name: 'Cron-Tag-Action', value: 'Two' },
  { name: 'Cron-Interval', value: '1-block' }, { name: 'Cron-Tag-Action', value: 'Block' }
])
const ids = { [plain]: [], [cron]: [] }
for (let i = 0; i < messages; i++) {
  const process = i % 3 === 2 ? cron : plain
  const message = await ao.message({ process, signer, data: lua[i % lua.length](i), anchor: String(i).padStart(32, '0'), tags: [{ name: 'Action', value: 'Eval' }] })
  ids[process].push(message)
  await both(`result ${i} (${lua[i % lua.length](i)})`, `/result/${message}?process-id=${process}&no-busy=1`)
  if (i % 10 === 9) await both(`dry run ${i}`, `/dry-run?process-id=${plain}`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ Id: '1234', Target: plain, Owner: '1234', Anchor: '0', Data: 'return x', Tags: [{ name: 'Action', value: 'Eval' }, { name: 'I', value: String(i) }] })
  })
  if (i % 20 === 19) {
    await sleep(1500) // the messenger pushes what processes have sent
    await bothStates(plain, await now())
  }
}
// Crons, in one stretch: the reference is asked once only after the last message, since it may repeat some otherwise.
await sleep(7000)
const until = await now()
await bothStates(cron, until)
const cursor = Buffer.from(JSON.stringify({ timestamp: until })).toString('base64')
await both('cron', `/cron/${cron}?to=${cursor}&limit=1000`)
for (const process of [plain, cron]) {
  // The reference leaves out results with an Error after it has cut the page, so it is asked for all at once.
  const all = JSON.parse((await ask(REFERENCE_URL, `/results/${process}?to=${cursor}&limit=100000`)).body)
  for (const sort of ['ASC', 'DESC']) {
    const edges = []
    for (let from = '', more = true; more; from = '&from=' + encodeURIComponent(edges.at(-1).cursor)) {
      const page = JSON.parse((await ask(CU_URL, `/results/${process}?to=${sort === 'ASC' ? cursor : ''}&limit=7&sort=${sort}${from}`)).body)
      edges.push(...page.edges)
      more = page.pageInfo.hasNextPage
    }
    const texts = list => list.map(edge => JSON.stringify(edge.node) + Buffer.from(edge.cursor, 'base64').toString().replace('DESC', 'ASC'))
    const last = all.edges.at(-1).cursor
    const ours = sort === 'ASC' ? texts(edges) : texts(edges.reverse()).filter(text => text.includes('"timestamp"') && Number(/"timestamp":(\d+)[^{}]*}$/.exec(text)[1]) <= until)
    compared++
    if (texts(all.edges).join('\n') !== ours.join('\n')) differ(`results of ${process} ${sort}, last ${last}`, texts(all.edges).join('\n'), ours.join('\n'))
  }
}
for (const [process, list] of Object.entries(ids)) for (const message of list) await both('result again', `/result/${message}?process-id=${process}`)
console.log(`${compared} answers compared, ${differences} differ`)
process.exit(differences === 0 ? 0 : 1)
