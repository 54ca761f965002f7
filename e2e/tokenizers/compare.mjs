// The tokenizers of other people, in JavaScript, and `verbatim tokenize` on the vocabularies that they carry: the same
// ids, and the ids' text is the text again. For each vocabulary a GGUF file is written whose weights are a few zeros.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import llama3 from 'llama3-tokenizer-js'
import llama2 from 'llama-tokenizer-js'

const verbatim = new URL('../../bin/verbatim', import.meta.url).pathname

// GGUF: the types of values, and a writer of one file.
const U32 = 4, I32 = 5, F32 = 6, STRING = 8, ARRAY = 9
const u32 = n => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b }
const u64 = n => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b }
const string = s => { const b = Buffer.from(s, 'utf8'); return Buffer.concat([u64(b.length), b]) }
const f32 = x => { const b = Buffer.alloc(4); b.writeFloatLE(x); return b }
const array = (type, items) => Buffer.concat([u32(type), u64(items.length), ...items])

function gguf (vocab, tokenizer) {
  const keys = [
    ['general.architecture', STRING, string('llama')],
    ...Object.entries({ embedding_length: 2, feed_forward_length: 2, block_count: 1, 'attention.head_count': 1, context_length: 16 })
      .map(([name, n]) => ['llama.' + name, U32, u32(n)]),
    ['llama.attention.layer_norm_rms_epsilon', F32, f32(1e-5)],
    ...tokenizer
  ]
  const tensors = [['token_embd', [2, vocab]], ['output_norm', [2]]]
  for (const name of ['attn_norm', 'ffn_norm']) tensors.push(['blk.0.' + name, [2]])
  for (const name of ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down']) tensors.push(['blk.0.' + name, [2, 2]])
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(keys.length)]
  for (const [key, type, value] of keys) parts.push(string(key), u32(type), value)
  let offset = 0
  const pad = n => (32 - n % 32) % 32
  for (const [name, dims] of tensors) {
    const size = 4 * dims.reduce((a, b) => a * b)
    parts.push(string(name + '.weight'), u32(dims.length), ...dims.map(u64), u32(0), u64(offset))
    offset += size + pad(size)
  }
  const head = Buffer.concat(parts)
  return Buffer.concat([head, Buffer.alloc(pad(head.length)), Buffer.alloc(offset)])
}

// Llama 3: tokens of type 3 (control) are those that no merge leads to and that look like it; merges by priority.
function llama3File () {
  const tokens = llama3.vocabById
  const types = tokens.map((t, id) => id >= 128000 ? 3 : 1)
  const merges = [...llama3.merges.entries()].sort((a, b) => a[1] - b[1]).map(([pair]) => pair)
  return gguf(tokens.length, [
    ['tokenizer.ggml.model', STRING, string('gpt2')],
    ['tokenizer.ggml.pre', STRING, string('llama-bpe')],
    ['tokenizer.ggml.tokens', ARRAY, array(STRING, tokens.map(string))],
    ['tokenizer.ggml.token_type', ARRAY, array(I32, types.map(u32))],
    ['tokenizer.ggml.merges', ARRAY, array(STRING, merges.map(string))],
    ['tokenizer.ggml.bos_token_id', U32, u32(128000)]
  ])
}

// Llama 1 and 2: after the 259 special and byte tokens the scores descend by one, but token 259 is never made.
function llama2File () {
  const tokens = llama2.vocabById
  const types = tokens.map((t, id) => id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)
  const scores = tokens.map((t, id) => id < 259 ? 0 : id === 259 ? -1e9 : 259 - id)
  return gguf(tokens.length, [
    ['tokenizer.ggml.model', STRING, string('llama')],
    ['tokenizer.ggml.tokens', ARRAY, array(STRING, tokens.map(string))],
    ['tokenizer.ggml.scores', ARRAY, array(F32, scores.map(f32))],
    ['tokenizer.ggml.token_type', ARRAY, array(I32, types.map(u32))]
  ])
}

// Texts: chosen ones, and stretches of a mixture made by a small generator with a fixed seed.
const pieces = ['Hello', ' world', ' the', "I'll", " WE'RE", '  ', '\n', '\n\n', '\t', ' 1234567', '3.14', 'é', 'ß', ' ñandú', '中文', '日本語', '한국어',
  '🦙', '👩‍👩‍👧', ' عربي', 'हिन्दी', '!?...', ' {x: [1, 2]}', 'func main() {', '\u00a0', '\u3000', '-', '_id', 'CamelCaseWord', '\u0301', '</s', '<|im', '   x']
const texts = ['a', ' ', '   ', 'Once upon a time', 'grabbed', ' grabbed', '           grabbed', '\n', ' \n ', 'ɐ', 'ⓐⓑ', "'sixty' o'clock", '镇', '12345678901234567890',
  'The llama (/ˈlɑːmə/; 🦙Spanish pronunciation: [ˈʎama]) (Lama glama) is a domesticated South American camelid.']
let seed = 20240726
const random = n => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return (seed >>> 8) % n }
while (texts.length < 40) texts.push(Array.from({ length: 1 + random(14) }, () => pieces[random(pieces.length)]).join(''))

const folder = mkdtempSync(join(tmpdir(), 'tokenizers-'))
let failed = 0
function compare (name, file, encode) {
  const model = join(folder, name + '.gguf')
  writeFileSync(model, file)
  let ids = 0
  for (const text of texts) {
    const run = spawnSync(verbatim, ['tokenize', '--model', model, '--no-bos', '--json', '--', text], { encoding: 'utf8', maxBuffer: 1 << 26 })
    if (run.status !== 0) throw new Error(`verbatim tokenize ${JSON.stringify(text)}: ${run.stderr}`)
    const ours = JSON.parse(run.stdout)
    const theirs = encode(text)
    ids += theirs.length
    if (JSON.stringify(ours.tokens) !== JSON.stringify(theirs) || ours.text !== text) {
      failed++
      console.error(`${name}, ${JSON.stringify(text)}:\n  ours   ${ours.tokens}\n  theirs ${theirs}\n  text   ${JSON.stringify(ours.text)}`)
    }
  }
  console.log(`${name}: ${texts.length} texts, ${ids} tokens`)
}
try {
  compare('llama3-tokenizer-js', llama3File(), text => llama3.encode(text, { bos: false, eos: false }))
  compare('llama-tokenizer-js', llama2File(), text => llama2.encode(text, false, true))
} finally {
  rmSync(folder, { recursive: true })
}
process.exit(failed === 0 ? 0 : 1)
