import { describe, expect, test } from 'vitest'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { filesOf, kinds, recorded, tokenizerOf } from './fixtures.ts'

interface Tokens {
  size: number
  special: Record<string, number | null>
  texts: string[]
  ids: number[][]
  plain: number[][]
  decoded: string[]
  without_special: string[]
}

describe.each(kinds)('%s, as transformers has it', (kind) => {
  const expected = recorded<Tokens>(`tokens/${kind}.json`)
  const tokenizer = tokenizerOf(kind)

  test('sizes and special tokens', () => {
    expect(tokenizer.size).toBe(expected.size)
    expect(tokenizer.idLimit).toBe(expected.size) // these vocabularies have no holes
    expect({ bos: tokenizer.bosId, eos: tokenizer.eosId, pad: tokenizer.padId, unk: tokenizer.unkId }).toEqual(expected.special)
    for (const token of tokenizer.addedTokens) expect(tokenizer.tokenOf(token.id)).toBe(token.content)
  })

  test('texts to ids, with and without special tokens', () => {
    expect(expected.texts.map((text) => tokenizer.encode(text))).toEqual(expected.ids)
    expect(expected.texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }))).toEqual(expected.plain)
  })

  test('ids to texts, at once and piece by piece', () => {
    expect(expected.plain.map((ids) => tokenizer.decode(ids))).toEqual(expected.decoded)
    expect(expected.plain.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }))).toEqual(expected.without_special)
    const streamed = expected.plain.map((ids) => {
      const stream = tokenizer.stream()
      return [...ids.map((id) => stream.push(id)), stream.end()].join('')
    })
    expect(streamed).toEqual(expected.decoded)
  })
})

test('a stream holds an incomplete character back, and gives it out broken at the end', () => {
  const tokenizer = tokenizerOf('smollm-like')
  const ids = tokenizer.encode('a👍b')
  const stream = tokenizer.stream()
  const pieces = ids.map((id) => stream.push(id))
  expect(pieces.join('')).toBe('a👍b')
  expect(pieces.every((piece) => !piece.includes('\uFFFD'))).toBe(true)
  expect(pieces.filter((piece) => piece.includes('👍'))).toEqual(['👍'])
  const cut = tokenizer.stream()
  const thumb = tokenizer.encode('👍')
  expect(
    thumb
      .slice(0, -1)
      .map((id) => cut.push(id))
      .join(''),
  ).toBe('')
  expect(cut.end()).toBe('\uFFFD')
})

test('eosToken replaces the checkpoint’s, if it is a token', () => {
  expect(tokenizerOf('smollm-like', { eosToken: '<|endoftext|>' }).eosId).toBe(tokenizerOf('smollm-like').padId)
  expect(() => tokenizerOf('smollm-like', { eosToken: '<|nothing|>' })).toThrow(/eosToken "<\|nothing\|>" is not in the vocabulary/)
})

test('half a surrogate pair is no text', () => {
  expect(() => tokenizerOf('smollm-like').encode('x\uD83D', { where: 'rows.json, row 3' })).toThrow(
    /rows\.json, row 3 holds half of a surrogate pair/,
  )
})

describe('what is not reproduced is refused by name', () => {
  const split = (pattern: object, more: object = {}) => ({
    pre_tokenizer: { type: 'Split', pattern, behavior: 'Isolated', invert: false, ...more },
  })
  const cases: [string, Record<string, unknown>, RegExp][] = [
    ['possessive quantifier', split({ Regex: '\\p{L}++|x' }), /possessive quantifier \+\+ in the pattern of its Split/],
    ['atomic group', split({ Regex: '(?>a|b)c' }), /an atomic group/],
    ['\\G', split({ Regex: '\\Gx' }), /\\G in the pattern/],
    ['inline flags', split({ Regex: '(?x) a b' }), /the group \(\?x\)…/],
    ['backreference', split({ Regex: '(a)\\1' }), /\\1 in the pattern/],
    ['merging split', split({ String: 'x' }, { behavior: 'MergedWithNext' }), /Split with MergedWithNext/],
    ['Metaspace that splits', { pre_tokenizer: { type: 'Metaspace', replacement: '▁' } }, /Metaspace that splits/],
    ['pre-tokenizer', { pre_tokenizer: { type: 'UnicodeScripts' } }, /the pre-tokenizer UnicodeScripts/],
    ['normalizer', { normalizer: { type: 'Lowercase' } }, /the normalizer Lowercase/],
    [
      'charsmap',
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'Precompiled', precompiled_charsmap: '' }] } },
      /the normalizer Precompiled/,
    ],
    ['post-processor', { post_processor: { type: 'BertProcessing', sep: ['x', 1], cls: ['x', 1] } }, /the post-processor BertProcessing/],
    ['decoder', { decoder: { type: 'CTC' } }, /the decoder CTC/],
  ]
  test.each(cases)('%s', (_, change, message) => {
    const { tokenizerJson, tokenizerConfig } = filesOf('llama3-like')
    expect(() => new Tokenizer({ tokenizerJson: { ...tokenizerJson, ...change }, tokenizerConfig })).toThrow(message)
  })

  test.each([
    ['Unigram', { type: 'Unigram', vocab: [['a', 0]] }, /a Unigram model \(BPE is supported\)/],
    ['word suffixes', { type: 'BPE', vocab: { a: 0 }, merges: [], end_of_word_suffix: '</w>' }, /BPE with end_of_word_suffix/],
    ['dropout', { type: 'BPE', vocab: { a: 0 }, merges: [], dropout: 0.1 }, /BPE dropout 0\.1/],
  ])('%s', (_, model, message) => {
    expect(() => new Tokenizer({ tokenizerJson: { model }, tokenizerConfig: {} })).toThrow(message)
  })

  // a class that has rules of its own for the model changes what is there before it is refused
  test.each([
    ['Unigram', [['a', 0]], /uses a Unigram model \(BPE is supported\)/],
    ['WordLevel', { a: 0 }, /uses a WordLevel model \(BPE is supported\)/],
    [undefined, { a: 0 }, /uses a vocabulary without merges model/],
    ['nothing', null, /has no model with a vocab/],
  ])('%s under LlamaTokenizer', (type, vocab, message) => {
    const files = { tokenizerJson: { model: { type, vocab } }, tokenizerConfig: { tokenizer_class: 'LlamaTokenizer' } }
    expect(() => new Tokenizer(files)).toThrow(message)
  })

  test('half a surrogate pair in the vocabulary or in merges, by its place', () => {
    const of = (vocab: Record<string, number>, merges: unknown[]) =>
      new Tokenizer({ tokenizerJson: { model: { type: 'BPE', vocab, merges } }, tokenizerConfig: {} })
    const told = (place: string) => expect.objectContaining({ code: 'TEXT_TOKENIZER_INVALID', message: expect.stringContaining(place) })
    expect(() => of({ a: 0, '\ud800': 1 }, [])).toThrow(told('model.vocab has "\\ud800" (id 1)'))
    const tokenizer = of({ a: 0, b: 1, ab: 2 }, ['a b', ['a', '\ud800']])
    expect(() => tokenizer.encode('ab')).toThrow(told('model.merges[1] is ["a", "\\ud800"]'))
    expect(() => tokenizer.fingerprint(new Date(0))).toThrow(told('model.merges[1]'))
  })

  test.each([
    ['smollm-like', 'qwen3', { tokenizer_class: 'Qwen2Tokenizer', add_prefix_space: true }, /tokenizer_config\.json sets add_prefix_space/],
    ['smollm-like', 'qwen2', { add_prefix_space: true }, /add_prefix_space/],
    ['llama2-like', 'qwen2', {}, /takes this checkpoint's for Qwen's/],
  ])("a class of transformers' own: %s under %s with %j", (kind, modelType, change, message) => {
    const { tokenizerJson, tokenizerConfig } = filesOf(kind)
    expect(() => new Tokenizer({ tokenizerJson, tokenizerConfig: { ...tokenizerConfig, ...change } }, { modelType })).toThrow(message)
  })

  test('a plain plus after an escaped or listed plus is no possessive quantifier', () => {
    const { tokenizerJson, tokenizerConfig } = filesOf('llama3-like')
    const pattern = { Regex: '\\++|[+*?]+|(?:a?b)+| ?[!-,]+|\\s+' }
    const tokenizer = new Tokenizer({ tokenizerJson: { ...tokenizerJson, ...split(pattern) }, tokenizerConfig })
    expect(tokenizer.decode(tokenizer.encode('++abb', { addSpecialTokens: false }))).toBe('++abb')
  })

  test('no tokenizer', () => {
    expect(() => new Tokenizer({ tokenizerJson: {}, tokenizerConfig: {} })).toThrow(/tokenizer\.json has no model/)
    const { tokenizerJson, tokenizerConfig } = filesOf('llama3-like')
    expect(() => new Tokenizer({ tokenizerJson: { ...tokenizerJson, added_tokens: 3 }, tokenizerConfig })).toThrow(
      /tokenizer\.json can't be used/,
    )
  })
})
