// Stands in for @permaweb/ao-loader: the same signature, (wasm, options) => async (memory, message, env) => result, but the
// evaluation is ours. EVALUATOR is the program built from main.go; each module gets one, which lives as long as this process.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const ABSENT = 0xffffffff

class Evaluator {
  #child = spawn(process.env.EVALUATOR, { stdio: ['pipe', 'pipe', 'inherit'] })
  #answers = this.#read(this.#child.stdout)
  #last = Promise.resolve()

  constructor () {
    // Nothing of it keeps a test from ending; it ends with its input.
    for (const thing of [this.#child, this.#child.stdin, this.#child.stdout]) thing.unref()
  }

  // A request is sent when the one before it has its answer.
  ask (...blobs) {
    const asked = this.#last.then(() => this.#ask(blobs))
    this.#last = asked.catch(() => {})
    return asked
  }

  async #ask (blobs) {
    this.#child.stdout.ref()
    try {
      this.#number(blobs.length)
      for (const blob of blobs) {
        const bytes = typeof blob === 'string' ? Buffer.from(blob) : blob
        this.#number(bytes ? bytes.byteLength : ABSENT)
        if (bytes && !this.#child.stdin.write(bytes)) await once(this.#child.stdin, 'drain')
      }
      const { value, done } = await this.#answers.next()
      if (done) throw new Error('the evaluator ended')
      return value
    } finally {
      this.#child.stdout.unref()
    }
  }

  #number (n) {
    const b = Buffer.alloc(4)
    b.writeUInt32LE(n)
    this.#child.stdin.write(b)
  }

  async * #read (stream) {
    const chunks = stream[Symbol.asyncIterator]()
    let rest = Buffer.alloc(0)
    const take = async length => {
      const all = Buffer.allocUnsafeSlow(length)
      for (let at = 0; at < length;) {
        if (rest.length === 0) {
          const { value, done } = await chunks.next()
          if (done) return null
          rest = value
        }
        const n = Math.min(length - at, rest.length)
        rest.copy(all, at, 0, n)
        rest = rest.subarray(n)
        at += n
      }
      return all
    }
    for (;;) {
      const count = await take(4)
      if (!count) return
      const blobs = []
      for (let i = count.readUInt32LE(); i > 0; i--) {
        const length = (await take(4)).readUInt32LE()
        blobs.push(length === ABSENT ? null : await take(length))
      }
      yield blobs
    }
  }
}

// A caller may compile the module itself and hand in a function that instantiates it: the wasm of compiled modules is kept,
// and instantiating one with the imports that such a function was given makes nothing but the answer which wasm it was.
const wasmOf = new WeakMap()
class Imports {}
const { compile, compileStreaming, instantiate } = WebAssembly
WebAssembly.compile = async wasm => {
  const module = await compile(wasm)
  wasmOf.set(module, wasm)
  return module
}
WebAssembly.compileStreaming = async source => WebAssembly.compile(Buffer.from(await (await source).arrayBuffer()))
WebAssembly.instantiate = async (module, imports, ...rest) =>
  imports instanceof Imports ? wasmOf.get(module) : instantiate(module, imports, ...rest)

export default async function AoLoader (binary, options) {
  const { format, computeLimit } = typeof options === 'object' && options !== null ? options : { format: 'wasm32-unknown-emscripten' }
  const wasm = typeof binary === 'function' ? await new Promise(resolve => binary(new Imports(), resolve)) : Buffer.from(binary)
  const evaluator = new Evaluator()
  const [failed] = await evaluator.ask('module', format, wasm)
  if (failed) throw new Error(failed.toString())
  let latest = null // an instance of the original keeps its memory when it is given none
  return async (memory, message, env) => {
    const before = memory ? new Uint8Array(memory.buffer ?? memory, memory.byteOffset ?? 0, memory.byteLength) : latest
    const [fault, gas, text, after] = await evaluator.ask('handle', computeLimit ? String(computeLimit) : '', before, JSON.stringify(message), JSON.stringify(env))
    if (fault) throw new Error(/^process fault: out of gas/.test(fault) ? 'out of gas!' : fault.toString())
    latest = after
    const { ok, response } = JSON.parse(text)
    if (!ok) throw response
    const { Error: error, Output, Messages, Spawns, Assignments, Patches } = response
    return { Memory: after, Error: error, Output, Messages, Spawns, Assignments, Patches: Patches || [], GasUsed: Number(gas) }
  }
}
