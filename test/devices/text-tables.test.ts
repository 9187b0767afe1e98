/** Native tables of texts, and rows of heads put back in order: slot by slot, byte by byte what JavaScript makes. */
import { expect, it } from 'vitest'
import { fromBlocks } from '../../src/devices/cpu/ggml-blocks.ts'
import { nativeLibrary } from '../../src/devices/cpu/library.ts'
import { tablesBy } from '../../src/devices/cpu/text-tables.ts'
import { unrotated } from '../../src/formats/gguf/dequantise.ts'
import { inJavaScript, room, tables } from '../../src/formats/text-tables.ts'
import { Texts } from '../../src/formats/texts.ts'

const native = tablesBy(nativeLibrary().native)

/** the same bytes with `gap` bytes between two, as a file has them */
function withGap(list: readonly string[], gap: number): Texts {
  const parts = list.map((text) => Buffer.from(text))
  const starts = new Uint32Array(list.length + 1)
  for (const [i, part] of parts.entries()) starts[i + 1] = starts[i]! + part.length + gap
  return new Texts(Buffer.concat(parts.flatMap((part) => [part, Buffer.alloc(gap, 0x20)])), starts, gap)
}

/** all that both make of a vocabulary and of merges */
function made(by: typeof native, tokens: Texts, merges: Texts, pairs: boolean) {
  const slots = room(tokens.length)
  const repeated = [...Array.from(by.textSlots(tokens, slots))]
  const ids = Int32Array.from({ length: tokens.length }, (_, at) => 3 * at - 7)
  const count = pairs ? merges.length / 2 : merges.length
  const out = new Int32Array(3 * count)
  const wrong = by.mergeIds(tokens, slots, ids, merges, pairs, out)
  const ranks = room(count)
  if (wrong === -1) by.pairSlots(out, ranks)
  return { slots, repeated, out, wrong, ranks, notTwo: by.notTwo(merges) }
}

const letters = ['a', 'b', 'é', '漢', 'Ġ', '𝒳', ' ']
/** thousands of texts of up to three letters, in an order of their own: many slots are taken when one comes to them */
const many = Array.from({ length: 7 ** 3 }, (_, i) => [i % 7, ((i / 7) | 0) % 7, (i / 49) | 0].map((l) => letters[l]!))
const words = [...letters, ...many.map((word) => word.slice(0, 2).join('')), ...many.map((word) => word.join(''))]

it.each([
  ['each once', [...new Set(words)], 0],
  ['repeated', words, 3],
  ['one', ['a'], 8],
  ['none', [], 8],
  ['an empty one', ['', 'a', ''], 1],
])('a vocabulary: %s', (_, list, gap) => {
  const tokens = withGap(list, gap)
  const by = (maker: typeof native) => {
    const slots = room(tokens.length)
    return { repeated: Array.from(maker.textSlots(tokens, slots)), slots }
  }
  expect(by(native)).toEqual(by(inJavaScript))
})

it.each([
  ['as texts', ['a b', 'é 漢', '𝒳 Ġ', 'a b', 'ab é'], false, -1],
  ['as pairs, one with a space of its own', ['a', ' ', ' ', 'b', 'é', '漢', 'a ', 'b'], true, -1],
  ['of a part that is no token', ['a b', 'a x', 'b a'], false, 1],
  ['that make no token', ['a b', '漢漢 漢漢'], false, 1],
  ['of one text, of three, of nothing', ['a b', 'ab', 'a b é', '', ' ', 'a '], false, 1],
  ['none', [], false, -1],
] as const)('merges %s', (_, list, pairs, wrong) => {
  const tokens = withGap([...new Set(words)], 8)
  const js = made(inJavaScript, tokens, withGap(list, 8), pairs)
  expect(js.wrong).toBe(wrong)
  expect(made(native, tokens, withGap(list, 8), pairs)).toEqual(js)
  expect(made(native, tokens, withGap(list, 1), pairs)).toEqual(js)
})

it.each([['ab'], [' b'], ['b '], ['a  b'], ['a b c'], [''], [' '], ['a b']])('is %j two texts?', (text) => {
  const merges = withGap(['é é', text], 8)
  expect(native.notTwo(merges)).toBe(inJavaScript.notTwo(merges))
})

it('whoever has opened the library makes them natively', () => {
  expect(tables()).not.toBe(inJavaScript)
})

it.each([
  { lines: 4, line: 3, from: 0, count: 8 },
  { lines: 64, line: 20, from: 5, count: 90 },
  { lines: 2, line: 1, from: 1, count: 2 },
])('rows of heads: $lines lines of $line bytes, $count from $from on', ({ count, ...heads }) => {
  const stored = Uint8Array.from(
    { length: Math.ceil((heads.from + count) / heads.lines) * heads.lines * heads.line },
    (_, i) => (i * 37) % 251,
  )
  const [mine, its] = [new Uint8Array(count * heads.line), new Uint8Array(count * heads.line)]
  unrotated(stored, heads, mine)
  fromBlocks.unrotate!(stored, heads, its)
  expect(its).toEqual(mine)
  expect(new Set(mine).size).toBeGreaterThan(1)
})
