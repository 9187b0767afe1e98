/** Blocks as ggml makes them: recorded digests of its own bytes (tools/oracle/ggml_blocks.py), for every width of vectors that runs here. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { blocksBy, MADE, toBlocks } from '../../src/devices/cpu/ggml-blocks.ts'
import { wrongBlock } from '../../src/export/gguf-values.ts'
import { decoders, inJavaScript } from '../../src/formats/gguf/dequantise.ts'
import { ggmlTypes } from '../../src/formats/gguf/types.ts'

const recorded = JSON.parse(readFileSync(new URL('../fixtures/ggml-blocks.json', import.meta.url), 'utf8')) as Record<string, string>
const [ROWS, COLS] = [48, 768]

/** the same draws as in Python: integers, then one rounding */
function weights(kind: string): Float32Array {
  let state = 1
  return Float32Array.from({ length: ROWS * COLS }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const drawn = (state >>> 16) - 32768
    if (kind === 'heavy') return drawn ** 3 * 2 ** -50
    if (kind === 'even') return drawn * 2 ** -20
    if (kind === 'tiny') return drawn * 2 ** -40
    const of = (i >> 5) % 4
    return of === 0 ? 0 : of === 1 ? 0.25 : drawn > 0 ? 0.5 : of === 2 ? -0.125 : 0.125
  })
}

for (const kind of ['even', 'heavy', 'tiny', 'flat']) {
  for (const type of MADE.filter(({ name }) => name !== 'F32')) {
    test(`${kind} ${type.name}: ggml's bytes, whatever the number of threads`, () => {
      const x = weights(kind)
      for (const threads of [1, 3]) {
        const digest = createHash('sha256')
          .update(toBlocks(x, type, threads))
          .digest('hex')
        expect(digest).toBe(recorded[`${kind} ${type.name}`])
      }
    })
  }
}

test('blocks hold what they were made of, to half a step of their codes', () => {
  const x = weights('even') // within ±1/32
  for (const [name, bits] of [['Q4_0', 4], ['Q4_1', 4], ['Q5_0', 5], ['Q5_1', 5], ['Q8_0', 8], ['Q4_K', 4], ['Q5_K', 5], ['Q6_K', 6]] as const) {
    const type = MADE.find((t) => t.name === name)!
    const back = new Float32Array(x.length)
    decoders[name]!(toBlocks(x, type), 0, x.length / type.block, back, 0)
    // a block spans at most 1/16; scales of 6 and 8 bits and the fit move its steps by less than one more half
    const step = 1 / 16 / (2 ** bits - 1)
    expect(Math.max(...x.map((v, i) => Math.abs(v - back[i]!)))).toBeLessThan(step * 1.25)
  } // biome-ignore format: a table
})

test('a weight that is no number is refused, wherever it is', () => {
  for (const at of [0, 255, ROWS * COLS - 1]) {
    const x = weights('even')
    x[at] = at === 255 ? Infinity : Number.NaN
    for (const type of MADE) expect(() => toBlocks(x, type)).toThrow('no number')
  }
})

/** the bits, but any NaN as the one: which of them a product makes is the processor's */
function bitsOf(bytes: Uint8Array, to: 'f32' | 'bf16'): Uint32Array | Uint16Array {
  const values = new Uint8Array(bytes).buffer
  if (to === 'bf16') return new Uint16Array(values)
  return new Uint32Array(values).map((x) => ((x & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : x))
}

/** the first place where they differ, or −1 */
const difference = (a: Uint32Array | Uint16Array, b: Uint32Array | Uint16Array) => a.findIndex((x, i) => x !== b[i])

describe('values of blocks, bit for bit as the definition gives them', () => {
  for (const type of ggmlTypes.values()) {
    for (const to of ['f32', 'bf16'] as const) {
      test(`${type.name} in ${to}: any bytes, whatever the number of threads`, () => {
        // scales of any bits: subnormals, infinities and negative ones too. Two threads' worth of blocks, and a part of one behind
        const blocks = Math.ceil(2 ** 17 / type.block) + 3
        let state = 7
        const bytes = Uint8Array.from({ length: blocks * type.bytes }, () => {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0
          return state >>> 24
        })
        const expected = bitsOf(inJavaScript(bytes, type, to), to)
        const into = new Uint8Array(expected.byteLength)
        for (const threads of [1, 2, 5]) expect(difference(bitsOf(blocksBy(threads, bytes, type, to, into), to), expected)).toBe(-1)
        expect(expected.length).toBe(blocks * type.block)
      })
    }
  }
})

for (const kind of ['even', 'heavy', 'tiny', 'flat']) {
  test(`${kind}: every block is within its type's limit, none of other weights is`, () => {
    const x = weights(kind)
    for (const type of MADE.filter(({ name }) => decoders[name])) {
      const back = new Float32Array(x.length)
      decoders[type.name]!(toBlocks(x, type), 0, x.length / type.block, back, 0)
      expect([type.name, wrongBlock(x, back, type)]).toEqual([type.name, null])
      if (kind === 'tiny') continue // no more than f16's smallest
      const at = 3 * type.block
      const other = Float32Array.from(back)
      for (let i = at; i < at + type.block; i++) other[i] = -back[i]!
      expect([type.name, wrongBlock(x, other, type)]).toEqual([type.name, 3])
      back[at] = Number.NaN
      expect(wrongBlock(x, back, type)).toBe(3)
    }
  })
}

test('dense types: exactly, or half an ulp', () => {
  const x = Float32Array.of(1, -0.1, 2 ** -140, 0)
  const [f32, f16, bf16] = ['F32', 'F16', 'BF16'].map((name) => MADE.find((type) => type.name === name)!)
  const moved = (by: number) => x.map((v) => v * (1 + 0.99 * by)) // rounded itself
  expect([wrongBlock(x, x, f32!), wrongBlock(x, moved(2 ** -22), f32!)]).toEqual([null, 0])
  expect([wrongBlock(x, moved(2 ** -11), f16!), wrongBlock(x, moved(2 ** -10), f16!)]).toEqual([null, 0])
  expect([wrongBlock(x, moved(2 ** -8), bf16!), wrongBlock(x, moved(2 ** -7), bf16!)]).toEqual([null, 0])
})
