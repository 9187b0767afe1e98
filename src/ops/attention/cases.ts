/** Attention's cases: every kind of mask that a pass can hold, at odd sizes; and the sizes of real models for speed. */
import type { CaseInput, OpCase } from '../op.ts'
import { attentionBackwardOp, attentionOp, sinkGradOp } from './op.ts'

/** What a pass says of its S tokens. */
interface Mask {
  visibleFrom: number[]
  visibleUntil: number[]
  depth: number[]
}

/** rows of these lengths laid end to end, then pads that see only themselves */
function rows(lengths: readonly number[], pads = 0): Mask {
  const mask: Mask = { visibleFrom: [], visibleUntil: [], depth: [] }
  for (const length of [...lengths, ...new Array<number>(pads).fill(1)]) {
    const begin = mask.depth.length
    for (let i = 0; i < length; i++) {
      mask.visibleFrom.push(begin + i)
      mask.visibleUntil.push(begin + length)
      mask.depth.push(i)
    }
  }
  return mask
}

/** a trie laid out depth-first: a token is seen by all that follow in its subtree */
interface Branch {
  tokens: number
  children?: Branch[]
}
function trie(branches: readonly Branch[]): Mask {
  const mask: Mask = { visibleFrom: [], visibleUntil: [], depth: [] }
  const lay = (branch: Branch, depth: number) => {
    const begin = mask.depth.length
    for (let i = 0; i < branch.tokens; i++) {
      mask.visibleFrom.push(begin + i)
      mask.depth.push(depth + i)
    }
    for (const child of branch.children ?? []) lay(child, depth + branch.tokens)
    mask.visibleUntil.splice(begin, 0, ...new Array<number>(branch.tokens).fill(mask.depth.length))
  }
  for (const branch of branches) lay(branch, 0)
  return mask
}

/** tokens [from, to) also see each other backwards (a prefix, an image) */
function bidirectional(mask: Mask, from: number, to: number): Mask {
  return { ...mask, visibleFrom: mask.visibleFrom.map((v, j) => (j >= from && j < to ? Math.min(v, from) : v)) }
}

/** tokens that no query sees */
function unseen(mask: Mask, ...tokens: number[]): Mask {
  return { ...mask, visibleUntil: mask.visibleUntil.map((v, j) => (tokens.includes(j) ? mask.visibleFrom[j]! : v)) }
}

interface Setup {
  heads: number
  kvHeads: number
  headDim: number
  /** default: headDim */
  valueDim?: number
  mask: Mask
  window?: number
  softCap?: number
  /** type of the sinks, where there are some */
  sinks?: 'f32' | 'bf16'
  /** q, k and v are columns of one wide product */
  fused?: boolean
  bench?: boolean
}

const valueDimOf = (s: Setup) => s.valueDim ?? s.headDim
const attrsOf = (s: Setup): OpCase['attrs'] => ({
  heads: s.heads,
  kvHeads: s.kvHeads,
  headDim: s.headDim,
  valueDim: valueDimOf(s),
  scale: s.headDim ** -0.5,
  window: s.window ?? 0,
  softCap: s.softCap ?? 0,
})
const column = (values: readonly number[]): CaseInput => ({ rows: values.length, cols: 1, dtype: 'i32', values })
const maskInputs = (m: Mask) => [column(m.visibleFrom), column(m.visibleUntil), column(m.depth)]

function qkv(s: Setup): CaseInput[] {
  const tokens = s.mask.depth.length
  const [h, g, v] = [s.heads * s.headDim, s.kvHeads * s.headDim, s.kvHeads * valueDimOf(s)]
  const part = (rows: number, cols: number, from: number): CaseInput => {
    return { rows, cols, dtype: 'act', ...(s.fused ? { within: { cols: h + g + v, from } } : {}) }
  }
  return [part(tokens, h, 0), part(tokens, g, h), part(tokens, v, h + g)]
}

/** a little above and below what scores are; the first weighs next to nothing, the last nearly all */
function sinksOf(s: Setup): CaseInput | null {
  if (!s.sinks) return null
  const values = Array.from({ length: s.heads }, (_, h) => (h === 0 ? -30 : h === s.heads - 1 ? 8 : h - 1.5))
  return { rows: 1, cols: s.heads, dtype: s.sinks, space: 'store', trainable: s.sinks === 'f32', values }
}

function forward(name: string, s: Setup): OpCase {
  return {
    name,
    op: attentionOp,
    attrs: attrsOf(s),
    inputs: [...qkv(s), ...maskInputs(s.mask), sinksOf(s)],
    // f32: 2e-7 of exp times a handful of operations. bf16: p and o are rounded to 8 bits (2⁻⁹ on average), in backward ds and D too
    tolerance: { f32: 3e-6, bf16: 1e-2 },
    bench: s.bench,
  }
}

/** o and lse need not belong to q and k (the op only reads them) but must be of their size: about log n + σ² / 2 for n keys */
function backward(name: string, s: Setup): OpCase {
  const tokens = s.mask.depth.length
  const seen = new Array<number>(tokens).fill(0)
  for (let j = 0; j < tokens; j++) {
    for (let i = s.mask.visibleFrom[j]!; i < s.mask.visibleUntil[j]!; i++) {
      if (!s.window || s.mask.depth[i]! - s.mask.depth[j]! < s.window) seen[i]!++
    }
  }
  const width = s.heads * valueDimOf(s)
  const lse = seen.flatMap((n) => new Array<number>(s.heads).fill(Math.log(n) + 0.5))
  return {
    name: `${name}, backward`,
    op: attentionBackwardOp,
    attrs: attrsOf(s),
    inputs: [
      { rows: tokens, cols: width, dtype: 'act' },
      { rows: tokens, cols: width, dtype: 'act', scale: 0.2 },
      { rows: tokens, cols: s.heads, dtype: 'f32', values: lse },
      ...qkv(s),
      ...maskInputs(s.mask),
    ],
    // as above: p and ds are rounded to bf16 before they are multiplied
    tolerance: { f32: 3e-6, bf16: 1e-2 },
    bench: s.bench,
  }
}

function sinkGrad(
  name: string,
  { heads, valueDim, tokens, dtype }: { heads: number; valueDim: number; tokens: number; dtype: 'f32' | 'bf16' },
): OpCase {
  return {
    name,
    op: sinkGradOp,
    attrs: { valueDim },
    inputs: [
      { rows: tokens, cols: heads * valueDim, dtype: 'act' },
      { rows: tokens, cols: heads * valueDim, dtype: 'act' },
      { rows: tokens, cols: heads, dtype: 'f32' },
      { rows: 1, cols: heads, dtype, space: 'store' },
      { rows: 1, cols: heads, dtype: 'f32', space: 'store' },
    ],
    // all is summed in f32: the terms of a head's T tokens have both signs
    tolerance: { f32: 3e-6, bf16: 3e-6 },
  }
}

const preferencePair: Branch = { tokens: 21, children: [{ tokens: 17 }, { tokens: 30 }] }
const both: Record<string, Setup> = {
  'a row of one token and one of two': { heads: 1, kvHeads: 1, headDim: 16, mask: rows([1, 2]) },
  'one row': { heads: 2, kvHeads: 1, headDim: 16, mask: rows([67]) },
  'rows and pads, grouped heads': { heads: 4, kvHeads: 2, headDim: 64, mask: rows([1, 33, 2, 64, 19], 9) },
  'three queries a key head, columns of one product': { heads: 3, kvHeads: 1, headDim: 24, mask: rows([40, 31]), fused: true },
  window: { heads: 2, kvHeads: 2, headDim: 32, mask: rows([70, 50]), window: 13 },
  'window over a shared beginning': { heads: 2, kvHeads: 1, headDim: 40, mask: trie([preferencePair, { tokens: 40 }]), window: 20 },
  'shared beginnings in shared beginnings': {
    heads: 3,
    kvHeads: 3,
    headDim: 80,
    mask: trie([{ tokens: 33, children: [{ tokens: 20, children: [{ tokens: 3 }, { tokens: 9 }] }, { tokens: 1 }] }, { tokens: 12 }]),
  },
  'a bidirectional span': { heads: 2, kvHeads: 1, headDim: 48, mask: bidirectional(rows([60, 37]), 20, 55) },
  'tokens that see nothing': { heads: 1, kvHeads: 1, headDim: 64, mask: unseen(rows([5, 20, 1]), 0, 5, 25) },
  'head size 256': { heads: 2, kvHeads: 1, headDim: 256, mask: rows([35, 40]) },
  'head size 128, several blocks': { heads: 1, kvHeads: 1, headDim: 128, mask: rows([150, 45]) },
  'head size 128, a soft cap': { heads: 2, kvHeads: 1, headDim: 128, mask: rows([70, 45]), softCap: 1.2 },
  'head size 1': { heads: 2, kvHeads: 2, headDim: 1, mask: rows([9, 12]) },
  'head size 2': { heads: 4, kvHeads: 2, headDim: 2, mask: rows([30, 5]), fused: true },
  'head size 3': { heads: 3, kvHeads: 1, headDim: 3, mask: rows([70]) },
  'head size 4, a window': { heads: 2, kvHeads: 1, headDim: 4, mask: rows([40, 3]), window: 7 },
  'head size 20': { heads: 2, kvHeads: 2, headDim: 20, mask: rows([35, 1]) },
  'head size 100': { heads: 2, kvHeads: 1, headDim: 100, mask: rows([66, 8]) },
  'head size 288': { heads: 1, kvHeads: 1, headDim: 288, mask: rows([40]) },
  'head size 512': { heads: 2, kvHeads: 1, headDim: 512, mask: rows([37]) },
  'a soft cap': { heads: 4, kvHeads: 2, headDim: 64, mask: rows([61, 20]), softCap: 1.5 },
  'values of another size': { heads: 4, kvHeads: 2, headDim: 48, valueDim: 32, mask: rows([70, 21], 3) },
  'values of another size, larger': { heads: 2, kvHeads: 1, headDim: 24, valueDim: 100, mask: rows([40, 31]) },
  'values of 13 channels beside 21, a window': { heads: 3, kvHeads: 1, headDim: 21, valueDim: 13, mask: rows([50, 9]), window: 11 },
  'values of 1 channel': { heads: 2, kvHeads: 2, headDim: 9, valueDim: 1, mask: rows([35]) },
  'head size 192, values of 128': { heads: 2, kvHeads: 2, headDim: 192, valueDim: 128, mask: rows([66, 30]) },
  'head size 512, values of 20': { heads: 1, kvHeads: 1, headDim: 512, valueDim: 20, mask: rows([37]) },
  'a soft cap and a window': { heads: 2, kvHeads: 1, headDim: 256, mask: rows([50, 31]), window: 19, softCap: 0.7 },
}

/** more than one block of 128 on both sides, for every size that has kernels of its own */
const branches = trie([
  { tokens: 60, children: [{ tokens: 45, children: [{ tokens: 5 }, { tokens: 30 }] }, { tokens: 20 }] },
  { tokens: 12 },
])
/** the keys of its beginning are seen by every query: their block has so much more work than the others that a card may cut it */
const beginning = trie([{ tokens: 30, children: [{ tokens: 70 }, { tokens: 41 }, { tokens: 66 }, { tokens: 53 }] }])
const blocks: Record<string, Setup> = {
  'head size 64, one beginning': { heads: 6, kvHeads: 1, headDim: 64, mask: beginning },
  'head size 128, one beginning, columns of one product': { heads: 8, kvHeads: 2, headDim: 128, mask: beginning, fused: true },
  'head size 192, values of 128, one beginning': { heads: 4, kvHeads: 1, headDim: 192, valueDim: 128, mask: beginning },
  'head size 256, one beginning, a soft cap and a window': {
    heads: 4,
    kvHeads: 1,
    headDim: 256,
    mask: beginning,
    window: 90,
    softCap: 0.9,
  },
  'head size 64, blocks of a trie': { heads: 2, kvHeads: 1, headDim: 64, mask: branches },
  'head size 64, blocks, a soft cap and a window': { heads: 1, kvHeads: 1, headDim: 64, mask: rows([190, 80]), window: 60, softCap: 0.9 },
  'head size 128, blocks of a trie, columns of one product': { heads: 2, kvHeads: 1, headDim: 128, mask: branches, fused: true },
  'head size 128, blocks and a window': { heads: 1, kvHeads: 1, headDim: 128, mask: rows([270, 5]), window: 40 },
  'head size 128, blocks and a soft cap': { heads: 1, kvHeads: 1, headDim: 128, mask: rows([160], 3), softCap: 1.1 },
  'head size 192, blocks of a trie': { heads: 1, kvHeads: 1, headDim: 192, mask: branches },
  'head size 136, blocks and a soft cap': { heads: 1, kvHeads: 1, headDim: 136, mask: rows([100, 60]), softCap: 0.8 },
  'head size 256, blocks of a trie, columns of one product': { heads: 1, kvHeads: 1, headDim: 256, mask: branches, fused: true },
  'head size 192, values of 128, blocks of a trie, columns of one product': {
    heads: 2,
    kvHeads: 2,
    headDim: 192,
    valueDim: 128,
    mask: branches,
    fused: true,
  },
  'head size 192, values of 128, blocks and a soft cap': {
    heads: 2,
    kvHeads: 1,
    headDim: 192,
    valueDim: 128,
    mask: rows([160], 3),
    softCap: 1.1,
  },
  'head size 96, values of 64, blocks and a window': { heads: 1, kvHeads: 1, headDim: 96, valueDim: 64, mask: rows([270, 5]), window: 40 },
  'head size 64, values of 256, blocks': { heads: 1, kvHeads: 1, headDim: 64, valueDim: 256, mask: rows([200]) },
  'head size 256, blocks, a soft cap and a window': { heads: 1, kvHeads: 1, headDim: 256, mask: rows([120, 50]), window: 70, softCap: 0.7 },
}

const real: Record<string, Setup> = {
  'SmolLM2-135M, 4 × 512': { heads: 9, kvHeads: 3, headDim: 64, mask: rows([512, 512, 512, 512]), bench: true },
  'SmolLM2-135M, rows of 200': {
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    mask: rows([201, 188, 230, 97, 312, 154, 240, 178, 265, 183], 0),
    bench: true,
  },
  'Gemma-2-2B, 1024': { heads: 8, kvHeads: 4, headDim: 256, mask: rows([1024]), softCap: 50, bench: true },
  'Moonlight-16B-A3B, 1024': { heads: 16, kvHeads: 16, headDim: 192, valueDim: 128, mask: rows([1024]), bench: true },
  'Llama-3.1-8B, 2 × 1024': { heads: 32, kvHeads: 8, headDim: 128, mask: rows([1024, 1024]), bench: true },
}

/** the backward is the one without: o and lse say all of a sink that it needs */
const withSinks: Record<string, Setup> = {
  sinks: { heads: 4, kvHeads: 2, headDim: 64, mask: rows([70, 21], 3), sinks: 'f32' },
  'sinks in bf16': { heads: 4, kvHeads: 2, headDim: 64, mask: rows([70, 21], 3), sinks: 'bf16' },
  'sinks and a window': { heads: 3, kvHeads: 1, headDim: 24, mask: rows([70, 50]), window: 13, sinks: 'f32' },
  'sinks and a soft cap': { heads: 2, kvHeads: 1, headDim: 128, mask: rows([61, 20]), softCap: 1.5, sinks: 'f32' },
  'sinks, tokens that see nothing': { heads: 3, kvHeads: 3, headDim: 64, mask: unseen(rows([5, 20, 1]), 0, 5, 25), sinks: 'f32' },
  'sinks, heads of 5 channels, values of 3': { heads: 3, kvHeads: 3, headDim: 5, valueDim: 3, mask: rows([40, 9]), sinks: 'bf16' },
  'sinks, head size 64, blocks of a trie': { heads: 8, kvHeads: 1, headDim: 64, mask: branches, sinks: 'bf16' },
  'sinks, head size 128, blocks and a window': { heads: 3, kvHeads: 1, headDim: 128, mask: rows([270, 5]), window: 40, sinks: 'f32' },
  'sinks, head size 192, values of 128, blocks': { heads: 2, kvHeads: 2, headDim: 192, valueDim: 128, mask: rows([160], 3), sinks: 'f32' },
  'sinks, head size 256, blocks': { heads: 2, kvHeads: 1, headDim: 256, mask: rows([150], 3), sinks: 'f32' },
}

export const cases: readonly OpCase[] = [
  ...Object.entries(withSinks).map(([name, setup]) => forward(name, setup)),
  sinkGrad('one token', { heads: 3, valueDim: 5, tokens: 1, dtype: 'f32' }),
  sinkGrad('sinks in bf16', { heads: 64, valueDim: 64, tokens: 70, dtype: 'bf16' }),
  sinkGrad('many tokens', { heads: 7, valueDim: 130, tokens: 1050, dtype: 'f32' }),
  ...Object.entries({ ...both, ...blocks }).flatMap(([name, setup]) => [forward(name, setup), backward(name, setup)]),
  ...Object.entries(real).flatMap(([name, setup]) => [forward(name, setup), backward(name, setup)]),
]
