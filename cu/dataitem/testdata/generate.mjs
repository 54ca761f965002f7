// Prints vectors.json: data items signed by arbundles. See README.md.
import { createRequire } from 'node:module'
import { createHash, createPrivateKey, generateKeyPairSync } from 'node:crypto'
const require = createRequire(process.cwd() + '/')
const { createData, ArweaveSigner, EthereumSigner, Curve25519, DataItem, bundleAndSignData, Bundle } =
  await import('file://' + require.resolve('@dha-team/arbundles')).then((m) => m.default ?? m)

const seed = (name) => createHash('sha256').update('verbatim test key ' + name).digest()
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 })
const jwk = privateKey.export({ format: 'jwk' })

const edSeed = seed('ed25519')
const edPkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), edSeed])
const edPublic = Buffer.from(createPrivateKey({ key: edPkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' }).x, 'base64url')
class Ed extends Curve25519 {
  get publicKey () { return edPublic }
  get key () { return edSeed }
}
class Solana extends Ed {
  constructor () { super('', ''); this.signatureType = 4 }
  sign (message) { return super.sign(Buffer.from(Buffer.from(message).toString('hex'))) }
}
const signers = {
  arweave: new ArweaveSigner(jwk), ed25519: new Ed('', ''), ethereum: new EthereumSigner(seed('ethereum').toString('hex')), solana: new Solana()
}
const target = createHash('sha256').update('a target').digest('base64url')
const anchor = '0123456789abcdefghijklmnopqrstuv'
const tags = [
  { name: 'Data-Protocol', value: 'ao' }, { name: 'Type', value: 'Message' }, { name: 'Action', value: 'Eval' },
  { name: 'Unicode \u00e9\u4e2d\ud83d\ude00', value: 'line\nbreak "quoted" <&>' }, { name: 'Action', value: 'twice' }, { name: 'Long', value: 'x'.repeat(300) }
]
const shapes = {
  bare: ['', {}],
  data: ['hello', { tags: tags.slice(0, 1) }],
  all: ['return 1 + 1', { tags, target, anchor }],
  target: ['t', { target }],
  anchor: ['a', { anchor, tags: [{ name: 'Empty', value: '' }] }],
  most: [Buffer.from([0, 255, 128, 10]), { tags: Array.from({ length: 128 }, (_, i) => ({ name: 'n' + i, value: 'v'.repeat(i % 16) })) }]
}
const items = []
const raw = []
for (const [signerName, signer] of Object.entries(signers)) {
  for (const [shape, [data, options]] of Object.entries(shapes)) {
    if (signerName === 'arweave' && shape === 'most') continue
    const item = createData(data, signer, options)
    await item.sign(signer)
    if (!await DataItem.verify(item.getRaw())) throw new Error(signerName + ' ' + shape + ' does not verify')
    raw.push(item)
    items.push({
      name: signerName + ' ' + shape, type: item.signatureType, id: item.id, owner: item.owner, target: item.target,
      anchor: item.rawAnchor.toString(), tags: item.tags, data: item.rawData.toString('base64'), raw: item.getRaw().toString('base64')
    })
  }
}
const bundled = raw.filter((_, i) => /bare|all/.test(items[i].name) && !/arweave bare/.test(items[i].name))
const bundle = await bundleAndSignData(bundled, signers.ed25519)
if (!await new Bundle(bundle.getRaw()).verify()) throw new Error('the bundle does not verify')
const { Wallet } = require('@ethersproject/wallet')
console.log(JSON.stringify({
  keys: { ed25519: edSeed.toString('base64'), ethereum: seed('ethereum').toString('base64') },
  ethereumAddress: new Wallet(seed('ethereum')).address,
  items,
  bundle: { ids: bundled.map((i) => i.id), raw: bundle.getRaw().toString('base64') }
}, null, 1))
