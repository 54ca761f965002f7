// In place of wao's Arweave in memory: its client of a gateway, which can upload data items.
import AR from './ar.js'
import { buildTags } from './utils.js'

export default class extends AR {
  constructor () {
    super({ port: 4000 })
  }

  async dataitem ({ tags, data, signer }) {
    const { id, raw } = await signer({ data, tags: buildTags(null, tags), target: '', anchor: '' })
    return { id, item: raw }
  }

  async postItems (item) {
    const response = await fetch('http://localhost:4001/tx', {
      method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: item
    })
    if (!response.ok) throw new Error('upload: ' + response.status + ' ' + await response.text())
  }
}
