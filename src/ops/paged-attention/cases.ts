/** Paged attention's cases: texts of all lengths in one pass, pages in any order and shared, new tokens one by one and in blocks. */
import type { OpCase } from '../op.ts'
import { pagedAttentionOp } from './op.ts'

interface Setup {
  heads: number
  kvHeads: number
  headDim: number
  /** default: headDim */
  valueDim?: number
  /** of each text: how many of its tokens are new, and how many there are with them; null: a token that is none */
  texts: readonly ({ fresh: number; tokens: number } | null)[]
  /** pages that all texts begin with */
  shared?: number
  page?: number
  window?: number
  softCap?: number
  sinks?: 'f32' | 'bf16'
  /** q is columns of a wider product */
  fused?: boolean
  bench?: boolean
}

function forward(name: string, s: Setup): OpCase {
  const { heads, kvHeads, headDim, valueDim = headDim, page = 64, shared = 0 } = s
  const most = Math.max(...s.texts.map((text) => Math.ceil((text?.tokens ?? 0) / page)))
  // pages are handed out from the last on, every other one first: no text's lie in order
  const owned = s.texts.map((text) => Math.max(0, Math.ceil((text?.tokens ?? 0) / page) - shared))
  const count = shared + owned.reduce((a, b) => a + b, 0)
  const free = Array.from({ length: count - shared }, (_, i) => count - 1 - i)
  const order = [...free.filter((_, i) => i % 2 === 0), ...free.filter((_, i) => i % 2 === 1)]
  const position: number[] = []
  const pages: number[] = []
  for (const [i, text] of s.texts.entries()) {
    const own = [...Array.from({ length: shared }, (_, n) => n), ...order.splice(0, owned[i])]
    const row = Array.from({ length: most }, (_, n) => own[n] ?? 0)
    for (let n = 0; n < (text?.fresh ?? 1); n++) {
      position.push(text ? text.tokens - text.fresh + n : -1)
      pages.push(...row)
    }
  }
  const T = position.length
  const cache = (cols: number) => ({ rows: count * page, cols, dtype: 'act', space: 'store' }) as const
  const sinks = Array.from({ length: heads }, (_, h) => (h === 0 ? -30 : h === heads - 1 ? 8 : h - 1.5))
  return {
    name,
    op: pagedAttentionOp,
    attrs: { heads, kvHeads, headDim, valueDim, scale: headDim ** -0.5, page, window: s.window ?? 0, softCap: s.softCap ?? 0 },
    inputs: [
      { rows: T, cols: heads * headDim, dtype: 'act', ...(s.fused ? { within: { cols: heads * headDim + 40, from: 8 } } : {}) },
      cache(kvHeads * headDim),
      cache(kvHeads * valueDim),
      { rows: T, cols: 1, dtype: 'i32', values: position },
      { rows: T, cols: most, dtype: 'i32', values: pages },
      s.sinks ? { rows: 1, cols: heads, dtype: s.sinks, space: 'store', values: sinks } : null,
    ],
    // as attention's. f32: 2e-7 of exp times a handful of operations; bf16: o is rounded to 8 bits, in blocks p too
    tolerance: { f32: 3e-6, bf16: 1e-2 },
    bench: s.bench,
  }
}

const one = (tokens: number) => ({ fresh: 1, tokens })
const setups: Record<string, Setup> = {
  'the first token': { heads: 2, kvHeads: 1, headDim: 16, texts: [one(1)] },
  'one token behind 130, pages out of order': { heads: 4, kvHeads: 2, headDim: 64, texts: [one(130)] },
  'a token that is none': { heads: 2, kvHeads: 2, headDim: 32, texts: [null] },
  'texts of all lengths, a token each': {
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    texts: [one(1), one(64), null, one(65), one(300), one(63), one(128), one(2)],
  },
  'texts that begin alike': { heads: 4, kvHeads: 1, headDim: 40, texts: [one(130), one(200), { fresh: 3, tokens: 140 }], shared: 2 },
  'a block of one text': { heads: 4, kvHeads: 2, headDim: 64, texts: [{ fresh: 128, tokens: 300 }], fused: true },
  'a block that ends in tokens that are none': {
    heads: 3,
    kvHeads: 1,
    headDim: 64,
    texts: [{ fresh: 37, tokens: 37 }, ...new Array<null>(27).fill(null)],
  },
  'blocks and single tokens of several texts': {
    heads: 2,
    kvHeads: 1,
    headDim: 48,
    texts: [{ fresh: 50, tokens: 50 }, one(70), { fresh: 70, tokens: 200 }, one(3), one(9), { fresh: 5, tokens: 5 }],
  },
  'pages of 128': { heads: 2, kvHeads: 2, headDim: 128, texts: [one(400), { fresh: 60, tokens: 200 }], page: 128 },
  'a window': { heads: 2, kvHeads: 2, headDim: 128, texts: [one(175), { fresh: 40, tokens: 90 }, one(20)], window: 30 },
  'a window of 1': { heads: 2, kvHeads: 1, headDim: 8, texts: [one(66), { fresh: 70, tokens: 90 }], window: 1 },
  'heads of 5 channels': { heads: 3, kvHeads: 3, headDim: 5, texts: [one(70), { fresh: 9, tokens: 80 }] },
  'heads of 500': { heads: 2, kvHeads: 1, headDim: 500, texts: [one(80), { fresh: 10, tokens: 70 }] },
  'a soft cap': { heads: 4, kvHeads: 2, headDim: 64, texts: [one(90), { fresh: 20, tokens: 90 }], softCap: 1 },
  'a soft cap and a window': {
    heads: 2,
    kvHeads: 1,
    headDim: 256,
    texts: [one(120), { fresh: 33, tokens: 100 }],
    softCap: 0.7,
    window: 19,
  },
  sinks: { heads: 8, kvHeads: 2, headDim: 64, texts: [one(130), one(5), null], sinks: 'bf16' },
  'sinks and a window, blocks': { heads: 2, kvHeads: 1, headDim: 64, texts: [{ fresh: 140, tokens: 300 }], window: 40, sinks: 'f32' },
  'values of another size': { heads: 4, kvHeads: 4, headDim: 192, valueDim: 128, texts: [one(130), { fresh: 12, tokens: 77 }] },
  'values of 7 channels beside 5': { heads: 3, kvHeads: 1, headDim: 5, valueDim: 7, texts: [one(90), { fresh: 6, tokens: 6 }] },
  'one token behind 2,048': { heads: 32, kvHeads: 8, headDim: 128, texts: [one(2049)], bench: true },
  'eight texts of 500, a token each': { heads: 9, kvHeads: 3, headDim: 64, texts: new Array(8).fill(one(501)), bench: true },
  'a block behind 900': { heads: 9, kvHeads: 3, headDim: 64, texts: [{ fresh: 128, tokens: 1028 }], bench: true },
}

export const cases: readonly OpCase[] = Object.entries(setups).map(([name, setup]) => forward(name, setup))
