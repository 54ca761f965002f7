// Posts transactions with arweave.js, whole, in chunks, and as a bundle of arbundles, to GATEWAY_URL, and reads them back in every
// way that the libraries know. Exits 1 if something is not as it was.
import { strict as assert } from 'node:assert'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
const require = createRequire(process.cwd() + '/')
const Arweave = require('arweave')
const { ArweaveSigner, bundleAndSignData, createData } = require('@dha-team/arbundles')

const gateway = new URL(process.env.GATEWAY_URL)
const arweave = Arweave.init({ host: gateway.hostname, port: gateway.port, protocol: 'http' })
const wallet = generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 }).privateKey.export({ format: 'jwk' })
const address = await arweave.wallets.jwkToAddress(wallet)
const graphql = async query => (await (await fetch(gateway + 'graphql', {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query })
})).json()).data

const KiB = 1024
let number = 0
async function check (what, data, post) {
  const transaction = await arweave.createTransaction({ data, target: address, quantity: '0' }, wallet)
  transaction.addTag('Content-Type', 'application/octet-stream')
  transaction.addTag('Number', String(++number))
  await arweave.transactions.sign(transaction, wallet)
  await post(transaction)
  const read = Buffer.from(await arweave.transactions.getData(transaction.id, { decode: true }))
  assert.deepEqual(read, Buffer.from(data), what + ': getData')
  const chunked = Buffer.from(await arweave.chunks.downloadChunkedData(transaction.id))
  assert.deepEqual(chunked, Buffer.from(data), what + ': downloadChunkedData')
  const again = await arweave.transactions.get(transaction.id)
  assert.ok(await arweave.transactions.verify(again), what + ': verify')
  assert.equal(again.tags[1].get('value', { decode: true, string: true }), String(number), what + ': tags')
  const status = await arweave.transactions.getStatus(transaction.id)
  assert.equal(status.status, 200, what + ': getStatus')
  assert.ok(status.confirmed.number_of_confirmations > 0, what + ': confirmations')
  const range = await fetch(gateway + transaction.id, { headers: { range: 'bytes=0-0' } })
  assert.equal(range.status, 206, what + ': range')
  const head = await fetch(gateway + transaction.id, { method: 'HEAD' })
  assert.equal(head.headers.get('content-length'), String(data.length), what + ': HEAD')
  const found = await graphql(`{ transactions(owners: ["${address}"], tags: [{ name: "Number", values: ["${number}", "x"] }]) { edges { node { id recipient data { size } quantity { ar } } } } }`)
  assert.deepEqual(found.transactions.edges, [{ node: { id: transaction.id, recipient: address, data: { size: String(data.length) }, quantity: { ar: '0.000000000000' } } }], what + ': GraphQL')
  console.log(`  ${what} of ${data.length} bytes`)
  return transaction.id
}
const whole = async transaction => assert.equal((await arweave.transactions.post(transaction)).status, 200)
const inChunks = async transaction => {
  const uploader = await arweave.transactions.getUploader(transaction)
  uploader.chunkInBody = false
  const kept = transaction.data
  transaction.data = new Uint8Array(0)
  assert.equal((await arweave.api.post('tx', transaction)).status, 200)
  transaction.data = kept
  uploader.txPosted = true
  while (!uploader.isComplete) await uploader.uploadChunk()
}
for (const size of [1, 256 * KiB - 1, 256 * KiB, 256 * KiB + 1, 300 * KiB, 700001]) {
  const data = randomBytes(size)
  await check('whole', data, whole)
  await check('in chunks', data, inChunks)
}

const author = new ArweaveSigner(wallet)
const items = ['one', 'two'].map(text => createData(text, author, { tags: [{ name: 'In', value: 'a bundle' }] }))
const bundle = await bundleAndSignData(items, author)
const transaction = await bundle.toTransaction({}, arweave, wallet)
await arweave.transactions.sign(transaction, wallet)
await whole(transaction)
const { transactions } = await graphql(`{ transactions(bundledIn: ["${transaction.id}"], sort: HEIGHT_ASC) { edges { node { id bundledIn { id } tags { value } } } } }`)
assert.deepEqual(transactions.edges.map(({ node }) => node), bundle.items.map(item => ({ id: item.id, bundledIn: { id: transaction.id }, tags: [{ value: 'a bundle' }] })))
assert.equal(await (await fetch(gateway + 'raw/' + bundle.items[1].id)).text(), 'two')
console.log('  a bundle of 2 items')

const info = await arweave.network.getInfo()
const block = await arweave.blocks.getCurrent()
assert.equal(block.height, info.height)
assert.equal((await arweave.blocks.getByHeight(info.height - 5)).height, info.height - 5)
assert.equal((await arweave.blocks.get(block.indep_hash)).height, info.height)
assert.equal(await arweave.transactions.getPrice(1000), '0')
assert.equal(await arweave.wallets.getBalance(address), '0')
console.log('  blocks, prices, balances')
