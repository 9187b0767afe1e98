/** What is kept of pieces seen before never changes an id: texts read twice, beside the library's own way, which keeps other things. */
import { Tokenizer as Engine } from '@huggingface/tokenizers'
import { expect, test } from 'vitest'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { filesOf } from './fixtures.ts'

const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false }
const words = (prefixed: boolean) => ({
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: String.raw` ?\p{L}+|\p{N}{1,3}|[^\p{L}\p{N}]` }, behavior: 'Isolated', invert: false },
    { ...bytes, add_prefix_space: prefixed },
  ],
})

const texts = [
  'the cat and the cat',
  ' the  cat\n\n12345 cats',
  'ünïcödé 👍👍 \u0000\u00ad\u007f',
  `${'long'.repeat(40)} ${'long'.repeat(40)}`,
  '',
]

test.each([
  ['words', words(false)],
  ['words with a space before each', words(true)],
  ['a whole text', bytes],
])('%s: first and second time as the library has it', (_, pre) => {
  const { tokenizerJson, tokenizerConfig } = filesOf('smollm-like')
  const json = { ...(tokenizerJson as Record<string, unknown>), pre_tokenizer: pre, added_tokens: [], normalizer: null }
  const engine = new Engine(json as never, {})
  const tokenizer = new Tokenizer({ tokenizerJson: json, tokenizerConfig })
  const whole = texts.map((text) => engine.encode(text, { add_special_tokens: false }).ids)
  const ours = () => texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }))
  expect(ours()).toEqual(whole)
  expect(ours()).toEqual(whole)
})

test('more words than are kept', () => {
  const { tokenizerJson, tokenizerConfig } = filesOf('smollm-like')
  const make = () => new Tokenizer({ tokenizerJson, tokenizerConfig })
  const tokenizer = make()
  const first = tokenizer.encode('cat 1 cat')
  const many = Array.from({ length: 70_000 }, (_, i) => i.toString(26).replace(/\d/g, (d) => 'qrstuvwxyz'[Number(d)]!)).join(' ')
  const ids = tokenizer.encode(many)
  expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(many)
  expect(tokenizer.encode('cat 1 cat')).toEqual(first)
})
