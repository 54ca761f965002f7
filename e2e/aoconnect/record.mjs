// Records what aoconnect sends in mainnet mode, for the tests of internal/mainnet: prints JSON with each request as it went out.
//
//   cd e2e && node aoconnect/record.mjs >../internal/mainnet/testdata/requests.json
import http from 'node:http'
import { connect, createSigner } from '@permaweb/aoconnect'
import { newWallet } from './steps.mjs'

const process = 'cHJvY2Vzcy1vZi1yZWNvcmRlZC1yZXF1ZXN0cy0wMDA'
const module = 'bW9kdWxlLW9mLXJlY29yZGVkLXJlcXVlc3RzLTAwMDA'
const address = 'bm9kZS1vZi1yZWNvcmRlZC1yZXF1ZXN0cy0wMDAwMDA'
const requests = []
let label
const kept = /^(accept-codec|ao-types|codec-device|content-|data$|l$|n$|name$|signature|signing-format|slot$)/
const server = http.createServer((request, response) => {
  const body = []
  request.on('data', (part) => body.push(part))
  request.on('end', () => {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => kept.test(name)))
    requests.push({ label, method: request.method, path: request.url, headers, body: Buffer.concat(body).toString('base64') })
    const answer = request.url.endsWith('/address') ? address : request.url.endsWith('/current') ? '2' : '{"slot":2}'
    response.writeHead(200, { process }).end(answer)
  })
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const URL = 'http://127.0.0.1:' + server.address().port
const ao = connect({ MODE: 'mainnet', URL, signer: createSigner(newWallet()) })
const anyone = connect({ MODE: 'mainnet', URL })
const calls = {
  spawn: () => ao.spawn({ module, data: '-- hello', tags: [{ name: 'Name', value: 'recorded' }] }),
  message: () => ao.message({ process, data: 'return 1', tags: [{ name: 'Action', value: 'Eval' }] }),
  'result by slot': () => ao.result({ process, slot: 1 }),
  results: () => ao.results({ process }),
  dryrun: () => ao.dryrun({ process, data: 'some data', tags: [{ name: 'Action', value: 'Info' }, { name: 'Text', value: 'a b/c ü=1' }] }),
  'results without a signer': () => anyone.results({ process }),
  'request of headers': () => ao.request({ path: '/~meta@1.0/info', method: 'GET', n: 5, l: ['a', 'b'], Name: 'x, y' }),
  'request with data in a header': () => ao.request({ path: `/${process}~process@1.0/compute`, method: 'POST', data: 'short', slot: 1 }),
  'request whose body is lost': () => ao.request({ path: '/~meta@1.0/info', method: 'POST', data: 'a\nb', x: { y: 1 } }),
  'request with a body, unsigned': () => anyone.request({ path: '/~meta@1.0/info', method: 'POST', data: 'a\nb', x: { y: 1 } }),
  'push as an HTTP message': () => ao.request({ path: `/${process}~process@1.0/push`, method: 'POST', data: 'short' })
}
for (const [name, call] of Object.entries(calls)) {
  label = name
  await call()
}
server.close()
console.log(JSON.stringify({ process, module, address, requests }, null, 1))
