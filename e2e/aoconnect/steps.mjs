// What the scripts of this folder share: named steps whose outcomes are printed, and expectations.
import { generateKeyPairSync } from 'node:crypto'

let failed = 0

// step runs an action, prints its name, time and outcome, and gives what it gave.
export async function step (name, action) {
  const start = Date.now()
  try {
    const value = await action()
    console.log(`  ${name}: ok, ${Date.now() - start} ms`)
    return value
  } catch (error) {
    failed++
    console.log(`  ${name}: FAILED, ${Date.now() - start} ms: ${error?.stack ?? error}`)
  }
}

export function want (condition, what) {
  if (!condition) throw new Error('want ' + what)
}

export function equal (got, expected, what = 'a value') {
  want(JSON.stringify(got) === JSON.stringify(expected), `${what}: ${JSON.stringify(expected)}, not ${JSON.stringify(got)}`)
}

// refused wants an action to fail, with a message that a pattern matches.
export async function refused (action, pattern) {
  const value = await action().catch((error) => {
    want(pattern.test(String(error?.message ?? error)), `an error like ${pattern}, not ${error}`)
    return refused
  })
  want(value === refused, `a refusal, not ${JSON.stringify(value)}`)
}

// eventually asks until the answer is good.
export async function eventually (what, ask, seconds = 20) {
  let last
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 100))) {
    last = await ask()
    if (last.done) return last.value
  }
  throw new Error(`want ${what} within ${seconds} s; the last answer: ${JSON.stringify(last)}`)
}

// said is what aos printed, colours removed.
export function said (result) {
  const data = result?.Output?.data
  const text = typeof data === 'string' ? data : data?.output
  return text === undefined ? JSON.stringify(result) : String(text).replace(/\x1b\[[0-9;]*m/g, '')
}

export function newWallet () {
  return generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 }).privateKey.export({ format: 'jwk' })
}

// finish ends the script: 1 if a step failed.
export function finish () {
  process.exit(failed ? 1 : 0)
}
