// In place of wao's memory of everything: the ids of the published modules, and what tests look up in it, asked of the units.
import { execFileSync } from 'node:child_process'

export default class ArMem {
  __type__ = 'mem'
  modules = JSON.parse(process.env.MODULES)

  #network () {
    return JSON.parse(execFileSync(process.execPath, [process.env.DUMP], { maxBuffer: 1 << 30 }))
  }

  get env () {
    return this.#network().env
  }

  get msgs () {
    return this.#network().msgs
  }
}
