// Publishes a wasm file as an ao module to GATEWAY_URL and prints its id: node publish.mjs FILE MODULE-FORMAT
import { readFileSync } from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import { createRequire } from 'node:module'
const require = createRequire(process.cwd() + '/')
const { ArweaveSigner, createData } = require('@dha-team/arbundles')

const [file, format] = process.argv.slice(2)
const wallet = generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 }).privateKey.export({ format: 'jwk' })
const signer = new ArweaveSigner(wallet)
const tags = Object.entries({
  'Data-Protocol': 'ao', Variant: 'ao.TN.1', Type: 'Module', 'Module-Format': format, 'Input-Encoding': 'JSON-V1',
  'Output-Encoding': 'JSON-V1', 'Memory-Limit': '1-gb', 'Compute-Limit': '9000000000000', 'Content-Type': 'application/wasm'
}).map(([name, value]) => ({ name, value }))
const item = createData(readFileSync(file), signer, { tags })
await item.sign(signer)
const response = await fetch(process.env.GATEWAY_URL + '/tx', {
  method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item.getRaw()
})
if (!response.ok) throw new Error('upload: ' + response.status + ' ' + await response.text())
console.log(item.id)
