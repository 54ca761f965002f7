// Reads {"name": "<item in base64>"} from stdin and prints what arbundles makes of each. See README.md.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
const require = createRequire(process.cwd() + '/')
const { DataItem } = await import('file://' + require.resolve('@dha-team/arbundles')).then((m) => m.default ?? m)
const seen = {}
for (const [name, raw] of Object.entries(JSON.parse(readFileSync(0)))) {
  const item = new DataItem(Buffer.from(raw, 'base64'))
  seen[name] = {
    valid: await DataItem.verify(item.getRaw()), id: item.id, target: item.target, anchor: item.rawAnchor.toString(),
    tags: item.tags, data: item.rawData.toString('base64')
  }
}
console.log(JSON.stringify(seen))
