// Prints transactions.json: transactions of the base layer, signed by arweave.js, over data of sizes at which the tree over it
// changes its form. Byte i of the data is (i * 31 + (i >> 8)) & 255. See README.md.
import { createRequire } from 'node:module'
const Arweave = createRequire(process.cwd() + '/')('arweave')

const arweave = Arweave.init({})
const jwk = await arweave.wallets.generate()
const KiB = 1024
const made = []
const sign = async (size, format) => {
  const data = new Uint8Array(size).map((_, i) => (i * 31 + (i >> 8)) & 255)
  const transaction = await arweave.createTransaction(
    { data, last_tx: Arweave.utils.bufferTob64Url(new Uint8Array(48).fill(7)), reward: '12345' }, jwk)
  transaction.format = format
  if (size % 2) {
    transaction.target = Arweave.utils.bufferTob64Url(new Uint8Array(32).fill(9))
    transaction.quantity = '1000'
  }
  transaction.addTag('Content-Type', 'application/octet-stream')
  transaction.addTag('Größe', String(size))
  await arweave.transactions.sign(transaction, jwk)
  const shown = transaction.toJSON()
  if (format === 2) shown.data = ''
  made.push({ bytes: size, transaction: shown })
}
for (const size of [1, 32 * KiB, 256 * KiB - 1, 256 * KiB, 256 * KiB + 1, 288 * KiB - 1, 288 * KiB, 512 * KiB, 512 * KiB + 777, 1300 * KiB + 5]) await sign(size, 2)
await sign(300, 1)
process.stdout.write('[\n' + made.map(vector => JSON.stringify(vector)).join(',\n') + '\n]\n')
