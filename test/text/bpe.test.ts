/** Merging against its definition: of all neighbouring pairs the one learned first, the leftmost of equal ones, until none is left. */
import { expect, it } from 'vitest'
import { BpeTables } from '../../src/formats/bpe-model.ts'
import { type Merge, MergeTexts, Vocabulary } from '../../src/formats/vocabulary.ts'
import { Bpe as Merger } from '../../src/text/bpe.ts'

const merges = ['a a', 'b a', 'aa aa', 'a b', 'ab a', 'aa b', 'c c', 'cc c', 'aaaa aaaa', 'ba ba']
const tokens = ['<unk>', 'a', 'b', 'c', ...merges.map((merge) => merge.replace(' ', '')), '<0xC3>', '<0xA9>', 'whole']
const ids = Vocabulary.of(Object.fromEntries(tokens.map((token, id) => [token, id])))
class Bpe extends Merger {
  constructor(model: { merges: readonly Merge[]; [rule: string]: unknown }, vocabulary: Vocabulary) {
    super(model, new BpeTables(vocabulary, () => MergeTexts.of(model.merges)))
  }
}

const model = { merges, unk_token: '<unk>' }

function slowly(piece: string): number[] {
  const parts = [...piece]
  for (;;) {
    const ranks = parts.slice(1).map((right, i) => merges.indexOf(`${parts[i]} ${right}`))
    const best = Math.min(...ranks.filter((rank) => rank >= 0))
    if (!Number.isFinite(best)) return parts.map((part) => ids.get(part) ?? 0)
    parts.splice(ranks.indexOf(best), 2, merges[best]!.replace(' ', ''))
  }
}

const encoded = (bpe: Bpe, piece: string) => {
  const out: number[] = []
  bpe.encode(piece, out)
  return out
}

it('merges as the definition says', () => {
  const bpe = new Bpe(model, ids)
  let seed = 3
  const draw = (n: number) => (seed = (seed * 48271) % 2147483647) % n
  for (let trial = 0; trial < 3000; trial++) {
    const piece = Array.from({ length: draw(40) }, () => 'aaabbcd'[draw(7)]).join('')
    expect(encoded(bpe, piece), piece).toEqual(slowly(piece))
  }
})

it('a token that shares its id with another text still merges', () => {
  const shared = Vocabulary.of({ a: 0, b: 1, ab: 2, abb: 3, x: 2 })
  // as the tokenizers package: the merges go by ids
  expect(encoded(new Bpe({ merges: ['a b', 'ab b'] }, shared), 'abb')).toEqual([3])
})

it('of a long piece takes as long as it is', () => {
  const bpe = new Bpe(model, ids)
  const started = performance.now()
  // 8 letters a token
  expect(encoded(bpe, 'a'.repeat(800_000))).toEqual(new Array(100_000).fill(ids.get('aaaaaaaa')))
  // merging by going through the piece for each merge would take hours
  expect(performance.now() - started).toBeLessThan(30_000)
})

it('spells what is no token as bytes, or says that it is none, and takes a whole piece first where it is told', () => {
  expect(encoded(new Bpe({ ...model, byte_fallback: true }, ids), 'aéa')).toEqual(['a', '<0xC3>', '<0xA9>', 'a'].map((t) => ids.get(t)))
  expect(encoded(new Bpe({ ...model, byte_fallback: true }, ids), 'è')).toEqual([0])
  expect(encoded(new Bpe({ merges }, ids), 'aéa')).toEqual([ids.get('aa')])
  expect(encoded(new Bpe({ ...model, ignore_merges: true }, ids), 'whole')).toEqual([ids.get('whole')])
  expect(() => new Bpe({ merges: ['a z'] }, ids)).toThrow(/merges "a" and "z", and has no token for one of them/)
  expect(() => new Bpe({ merges: ['b b'] }, ids)).toThrow(/has no token for both together/)
  // written as pairs; what they make by the merge before, the token behind it, or anywhere
  const pairs = [
    ['a', 'aa'],
    ['aa', 'a'],
    ['b', 'a'],
  ] as [string, string][]
  const some = Vocabulary.of({ a: 4, b: 2, aa: 9, ba: 5, aaa: 7 })
  expect(encoded(new Bpe({ merges: [['a', 'a'], ...pairs] }, some), 'aaaba')).toEqual([7, 5])
  expect(encoded(new Bpe({ merges: pairs }, some), 'ba')).toEqual([5])
  expect([some.limit, some.get('aab'), some.get(''), some.tokenOf(7), some.tokenOf(8)]).toEqual([
    10,
    undefined,
    undefined,
    'aaa',
    undefined,
  ])
})

// values: tokenizers 0.23's BPE with the same vocabulary and merges
it('a character that is no token is gone before anything is merged, or is the unknown token, or one for all side by side', () => {
  const named = (unknown: Partial<typeof model> & { fuse_unk?: boolean }, piece: string) =>
    encoded(new Bpe({ ...model, unk_token: null as never, ...unknown }, ids), piece).map((id) => tokens[id])
  expect(named({}, 'aJabJJb')).toEqual(['aab', 'b'])
  expect(named({ unk_token: '<unk>' }, 'aJabJJb')).toEqual(['a', '<unk>', 'ab', '<unk>', '<unk>', 'b'])
  expect(named({ unk_token: '<unk>', fuse_unk: true }, 'aJabJJb')).toEqual(['a', '<unk>', 'ab', '<unk>', 'b'])
})
