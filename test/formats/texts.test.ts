/** A vocabulary as bytes: the same texts, ids and errors as of lists of strings, whatever lies between them and however long they are. */
import { describe, expect, it } from 'vitest'
import { BpeTables, lateModel, tablesOf, withRules } from '../../src/formats/bpe-model.ts'
import { Cursor } from '../../src/formats/gguf/cursor.ts'
import { Texts } from '../../src/formats/texts.ts'
import { type Merge, MergeTexts, Vocabulary, vocabularyIn } from '../../src/formats/vocabulary.ts'

const texts = ['a', '', 'Ġé', '漢字', '𝒳y𝒵', '\ufeffx', '\ufffd', 'a\0b', 'ab', 'é'.repeat(64), 'Ġ'.repeat(300), 'x'.repeat(127), 'end']

/** as GGUF has them: a length of 8 bytes before each */
function listOf(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(8)
      length.writeBigUInt64LE(BigInt(part.length))
      return [length, part]
    }),
  )
}

function read(parts: readonly Uint8Array[]): Texts {
  const file = listOf(parts)
  const cursor = new Cursor({ size: file.length, read: (offset, length) => file.subarray(offset, offset + length) }, 'm.gguf')
  const made = cursor.texts(parts.length, () => Number(cursor.u64()), () => 'tokens') // biome-ignore format: one call
  expect(cursor.left).toBe(0)
  return made
}

it('a list of several windows is cut where its lengths say: short texts are stepped over by another loop than long ones, and those that a window ends in', () => {
  const parts = Array.from({ length: 60_000 }, (_, i) => Buffer.alloc(i % 1000 === 0 ? 127 + (i % 7) : (i * 7) % 40, 97 + (i % 26)))
  expect(listOf(parts).length).toBeGreaterThan(1.5 * 2 ** 20)
  const made = read(parts)
  expect(parts.findIndex((part, i) => made.at(i) !== part.toString())).toBe(-1)
})

it.each([
  ['of strings', Texts.of(texts)],
  ['out of a file', read(texts.map((text) => Buffer.from(text)))],
])('texts %s are the texts, and a vocabulary of them finds each by its place', (_, made) => {
  expect([made.length, made.toArray()]).toEqual([texts.length, texts])
  const vocabulary = vocabularyIn(made)
  expect(texts.map((text) => vocabulary.get(text))).toEqual(texts.map((_, id) => id))
  expect(texts.map((_, id) => vocabulary.tokenOf(id))).toEqual(texts)
  expect([vocabulary.get('b'), vocabulary.get('\ud800'), vocabulary.get('漢'.repeat(2000)), vocabulary.tokenOf(99)]).toEqual(
    new Array(4).fill(undefined),
  )
  expect({ ...vocabulary.toJson() }).toEqual(Object.fromEntries(texts.map((text, id) => [text, id])))
})

describe('bytes that are no UTF-8 are refused', () => {
  const [lead, rest] = [Buffer.from([0x61, 0xe6, 0xbc]), Buffer.from([0xa2, 0x62])] // of 漢
  const long = Buffer.concat([Buffer.alloc(200, 0x78), lead])
  it.each([
    ['cut at the end of one', [lead, Buffer.from('b')]],
    ['parted between two', [lead, rest]],
    ['parted between a long one and the next', [long, rest]],
    ['at the end of the last', [Buffer.from('b'), lead]],
    ['before a long one', [lead, Buffer.alloc(200, 0x78)]],
    ['beginning behind a long one', [Buffer.alloc(200, 0x78), rest]],
    ['in a long one', [Buffer.concat([long, long])]],
  ])('%s', (_, parts) => {
    expect(() => read(parts)).toThrow('m.gguf: tokens is not valid UTF-8')
  })

  it('half of a surrogate pair, also where two halves meet', () => {
    for (const list of [['a\ud800'], ['a\ud83d', '\ude00b']]) expect(() => Texts.of(list)).toThrow(/^text 0 holds half of a surrogate pair/)
    expect(() => Texts.of(['\ufffd', 'a', '\ud800'])).toThrow(expect.objectContaining({ code: 'TEXT_NOT_UNICODE', message: expect.stringMatching(/^text 2 /) })) // biome-ignore format: short
  })

  it.each([
    ['a token', () => Vocabulary.of({ a: 0, '\ufffd': 1, 'b\ud800': 2 }), 'model.vocab has "b\\ud800" (id 2)'],
    ['a merge as text', () => MergeTexts.of(['a b', 'a \ud800']), 'model.merges[1] is "a \\ud800"'],
    ['a merge as a pair', () => MergeTexts.of([['a', 'b'], ['a', 'c'], ['\ude00', 'b']]), 'model.merges[2] is ["\\ude00", "b"]'],
    ['one of merges written both ways', () => MergeTexts.of(['a b', ['a', 'c'], 'b \ude00']), 'model.merges[2] is "b \\ude00"'],
  ] as const)('half of a surrogate pair in %s is refused with its place', (_, make, place) => {
    const message = `tokenizer.json: ${place}, which holds half of a surrogate pair and is no text. Fetch it again.`
    expect(make).toThrow(expect.objectContaining({ code: 'TEXT_TOKENIZER_INVALID', message }))
  }) // biome-ignore format: a table
})

it('of equal texts the last counts', () => {
  const vocabulary = vocabularyIn(Texts.of(['a', 'b', 'a', 'c', 'a']))
  expect(vocabulary.get('a')).toBe(4)
  expect([0, 1, 2, 3, 4].map((id) => vocabulary.tokenOf(id))).toEqual([undefined, 'b', undefined, 'c', 'a'])
  expect([[...vocabulary.ids].sort(), vocabulary.limit]).toEqual([[1, 3, 4], 5])
  expect({ ...vocabulary.toJson() }).toEqual({ a: 4, b: 1, c: 3 })
  // a merge that makes one, by the place of the first
  expect([...MergeTexts.of(['b c', 'c b']).idsIn(vocabularyIn(Texts.of(['bc', 'b', 'c', 'cb', 'bc']))).ids]).toEqual([1, 2, 4, 2, 1, 3])
})

it('an id that a repeated text leaves to another is the other’s', () => {
  const vocabulary = new Vocabulary(Texts.of(['a', 'b', 'a']), [5, 5, 7])
  expect([vocabulary.tokenOf(5), vocabulary.tokenOf(7), vocabulary.get('b')]).toEqual(['b', 'a', 5])
})

describe('digests are of what is meant, not of how a file lists it', () => {
  const again = (vocabulary: Vocabulary) => Vocabulary.of(JSON.parse(JSON.stringify(vocabulary.toJson())))

  it.each([
    ['digits, which an object has first', ['a', 'b', '1', '0', 'c']],
    ['texts that are repeated', ['a', '1', 'b', 'a', '0', '1']],
  ])('%s', (_, list) => {
    const vocabulary = vocabularyIn(Texts.of(list))
    expect(again(vocabulary).digest).toBe(vocabulary.digest)
    expect(vocabularyIn(Texts.of([...list].reverse())).digest).not.toBe(vocabulary.digest)
  })

  it('two tokens of one id, each of which is a token', () => {
    const both = Vocabulary.of({ a: 0, b: 1, c: 1 })
    expect(again(both).digest).toBe(both.digest)
    const others = [Vocabulary.of({ a: 0, b: 1 }), Vocabulary.of({ a: 0, c: 1 }), Vocabulary.of({ a: 0, c: 1, b: 1 })]
    expect(new Set([both, ...others].map(({ digest }) => digest)).size).toBe(4)
  })

  it('merges that put one text together of other parts are others', () => {
    const digests = [['a b', 'c'], ['a', 'b c'], ['a b c', ''], ['', 'a b c']].map((pair) => MergeTexts.of([pair as [string, string]]).digest) // biome-ignore format: short
    expect(new Set(digests).size).toBe(4)
    expect(MergeTexts.of([['a', 'b'], ['é', 'b']]).digest).toBe(MergeTexts.of(['a b', 'é b']).digest) // biome-ignore format: short
    expect(MergeTexts.of(['é b', 'a b']).digest).not.toBe(MergeTexts.of(['a b', 'é b']).digest)
  })
})

it('merges are the same as texts and as pairs; one that is neither is named', () => {
  const vocabulary = Vocabulary.of({ é: 7, b: 2, éb: 9, bé: 5, ébé: 3 })
  const list: Merge[] = ['é b', 'b é', 'éb é']
  const pairs = list.map((merge) => (merge as string).split(' ') as [string, string])
  for (const merges of [MergeTexts.of(list), MergeTexts.of(pairs), MergeTexts.of([pairs[0]!, list[1]!, pairs[2]!])]) {
    expect([...merges.idsIn(vocabulary).ids]).toEqual([7, 2, 9, 2, 7, 5, 9, 7, 3])
    expect([merges.length, merges.toArray(), merges.parts(2)]).toEqual([3, pairs, pairs[2]])
  }
  expect(MergeTexts.of(['é b', 'b b']).idsIn(vocabulary).wrong).toBe(1)
  const two = (merges: string[]) => MergeTexts.of(merges).notTwo()
  expect([two(list as string[]), two(['é b', ' b']), two(['b ']), two(['a b', 'a b', 'a b c']), two(['ab'])]).toEqual([-1, 1, 0, 2, 0])
  for (const odd of [5, null, ['a'], ['a', 5]])
    expect(() => MergeTexts.of(['é b', odd as never])).toThrow(/model\.merges\[1\] is .*, it must be two tokens/)
})

it('a model that makes its vocabulary late is, asked, the one that it says, also under other rules', () => {
  const tokens = Texts.of(['a', 'b', 'ab'])
  const tables = new BpeTables(vocabularyIn(tokens), () => MergeTexts.of(['a b']))
  const model = withRules(lateModel({ type: 'BPE', fuse_unk: false }, tables), { fuse_unk: true })
  expect(JSON.stringify(model)).toBe('{"type":"BPE","fuse_unk":true,"vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]}')
  expect(tablesOf(model)).toBe(tables)
  expect(structuredClone(model)).toEqual({ ...model })
})
