/**
 * Attention without T × T (FlashAttention-2, Dao 2023; on Hopper, FlashAttention-3, Shah 2024): for bf16 and heads of up to 256 channels on
 * the tensor cores, on Hopper with its own instructions; all else in f32 arithmetic.
 * Backward is two kernels, one owning queries and one owning keys: each sums alone, in a fixed order.
 */
import { SaqrError } from '../../error.ts'
import {
  attrsOf,
  type Card,
  type CudaSource,
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  type KernelArg,
  type KernelLaunch,
  kernel,
  runs,
  source,
  typeOf,
} from '../cuda-launch.ts'
import { attentionBackwardOp, attentionOp, sinkGradOp } from './op.ts'

const before = source(import.meta.url, 'prepare.cu')
const simple = source(import.meta.url, 'simple.cu')
/** Kernels for heads of up to so many channels. */
interface Size {
  name: string
  headDim: number
  valueDim: number
  /** are there such with a soft cap too? */
  capped: boolean
  /** sizeof Forward, QueryGrad and KeyGrad of hopper-*.cuh's Shared */
  shared: readonly [number, number, number]
}
/** the first that fits is taken */
const SIZES: readonly Size[] = [
  { name: '64', headDim: 64, valueDim: 64, capped: true, shared: [102_544, 153_776, 111_312] },
  { name: '128', headDim: 128, valueDim: 128, capped: true, shared: [200_848, 216_240, 217_808] },
  { name: '192x128', headDim: 192, valueDim: 128, capped: false, shared: [182_416, 166_016, 126_096] },
  { name: '192', headDim: 192, valueDim: 192, capped: true, shared: [198_800, 198_784, 150_672] },
  { name: '256', headDim: 256, valueDim: 256, capped: true, shared: [198_784, 231_520, 199_824] },
]
/** a source for each size, plain and, where there is one, with a soft cap */
const files = SIZES.flatMap(({ name, capped }) =>
  ['hopper', 'tensor'].flatMap((way) => (capped ? ['', '-capped'] : ['']).map((cap) => way + name + cap)),
)
const sources = Object.fromEntries(files.map((name) => [name, source(import.meta.url, `${name}.cu`)]))

/** of a head, in the kernels in f32 arithmetic */
const MOST_CHANNELS = 512

/** kTile of problem.cuh */
const TILE = 64
/** kBlock of problem.cuh */
const BLOCK = 128
/** kLeastSteps of pieces.cuh */
const LEAST_STEPS = 8
/** blocks of a grid on Hopper, which take their work from a queue: no card of its kind runs more at once */
const HOPPER_BLOCKS = 132

/** rows that a block of a kernel owns, its threads and its dynamic shared memory */
interface Kernel {
  rows: number
  threads: number
  shared: number
}

interface Choice {
  source: CudaSource
  suffix: string
  forward: Kernel
  queryGrad: Kernel
  keyGrad: Kernel
  /** one after the other rows' blocks; in the order of their work; the same, taken from a queue */
  work: 'in turn' | 'ordered' | 'queued'
}

type Step = CudaStep<typeof attentionOp.attrs>

const named = (way: 'hopper' | 'tensor', { name }: Size, capped: boolean) => ({
  source: sources[`${way}${name}${capped ? '-capped' : ''}`]!,
  suffix: `${way}_${name}${capped ? '_capped' : ''}`,
})

const fits = (size: Size, { headDim, valueDim, softCap }: Step['attrs']) =>
  headDim <= size.headDim && valueDim <= size.valueDim && (size.capped || softCap === 0)

function choose(step: Step, tensors: CudaTensor[], card: Card): Choice {
  const type = typeOf(step, ...tensors)
  const { headDim, valueDim, scale, softCap } = step.attrs
  const larger = Math.max(headDim, valueDim)
  const aligned = tensors.every((t) => t.at % 16n === 0n && t.stride % 8 === 0)
  const whole = type === 'bf16' && headDim % 8 === 0 && valueDim % 8 === 0 && aligned && scale > 0
  const size = whole ? SIZES.find((size) => fits(size, step.attrs)) : undefined
  if (size && card.arch === 90) {
    const [forward, queryGrad, keyGrad] = size.shared
    return {
      ...named('hopper', size, softCap > 0),
      forward: { rows: BLOCK, threads: 384, shared: forward },
      queryGrad: { rows: BLOCK, threads: 384, shared: queryGrad },
      keyGrad: { rows: size.headDim <= 128 ? BLOCK : BLOCK / 2, threads: 384, shared: keyGrad },
      work: 'queued',
    }
  }
  if (size && card.arch >= 80) {
    // as Tensor of tensor.cuh has them: four tiles pass by, up to 128 channels with 16 bytes a row in two stages
    const large = size.headDim > 128
    const row = (size.headDim + 8) * 2
    const both = row + (size.valueDim + 8) * 2
    const passing = large ? 2 * 16 * both : 2 * 32 * both + 2 * 32 * 16
    const forward = { rows: large ? 64 : 128, threads: 128, shared: (large ? 64 : 128) * row + passing }
    const queryGrad = { rows: 64, threads: 128, shared: 64 * both + passing }
    return {
      ...named('tensor', size, softCap > 0),
      forward,
      queryGrad,
      keyGrad: { ...queryGrad, threads: large ? 256 : 128 },
      work: 'ordered',
    }
  }
  if (larger > MOST_CHANNELS)
    throw new SaqrError('DEVICE_SHAPE', `${step.name}: heads of ${larger} channels; the CUDA kernels take up to ${MOST_CHANNELS}.`)
  // as Tiling of simple.cuh has them
  const most = larger <= 128 ? 128 : larger <= 256 ? 256 : 512
  const rows = most > 256 ? 8 : most > 128 ? 16 : 32
  const threads = most > 256 ? 64 : 256
  const tile = rows * (most + 1) * 4
  const weights = rows * (rows + 1) * 4
  return {
    source: simple,
    suffix: `simple_${type}_${most}`,
    forward: { rows, threads, shared: 2 * tile + weights },
    queryGrad: { rows, threads, shared: 4 * tile + weights },
    keyGrad: { rows, threads, shared: 4 * tile + 2 * weights },
    work: 'in turn',
  }
}

interface Tensors {
  q: CudaTensor
  k: CudaTensor
  v: CudaTensor
  o: CudaTensor
  lse: CudaTensor
  mask: CudaTensor[]
  sinks?: CudaTensor | null
  dO?: CudaTensor
  d?: CudaTensor[]
}

/** Room for the sums of parts of blocks of keys (pieces.cuh). */
interface Parts {
  slots: number
  kvHeads: number
  /** of a key and its value, as the kernel has them */
  channels: number
}
const NO_PARTS: Parts = { slots: 0, kvHeads: 0, channels: 0 }

/** In all a part for each multiprocessor, fewer where a pass hasn't so much work. */
function partsOf({ inputs, attrs, outputs }: Step, card: Card): Parts {
  const { heads, kvHeads } = attrs
  const size = card.arch === 90 && outputs[0]!.dtype === 'bf16' && SIZES.find((size) => fits(size, attrs))
  if (!size) return NO_PARTS
  const blocks = ceilDiv(inputs[4]!.rows, BLOCK)
  const steps = blocks * blocks * (BLOCK / TILE) * (heads / kvHeads)
  return {
    slots: Math.min(Math.floor(HOPPER_BLOCKS / kvHeads), Math.floor(steps / LEAST_STEPS)),
    kvHeads,
    channels: size.headDim + size.valueDim,
  }
}

/** Where in the scratch lies what goes before the kernels, as bytes from its start. */
function layout(keys: number, heads: number, { slots, kvHeads, channels } = NO_PARTS) {
  const blocks = ceilDiv(keys, BLOCK)
  const statistics = blocks * BLOCK * heads * 4
  const sizes = {
    delta: statistics,
    tiles: blocks * (BLOCK / TILE) * 32,
    masks: blocks * BLOCK * 16,
    lse2: statistics,
    queryOrder: blocks * 4,
    keyOrder: blocks * 4,
    queues: 3 * 4,
    maps: 4 * 128,
    keyPieces: heads ? (blocks + slots) * 16 : 0,
    arrivals: slots * kvHeads * 16 * 4,
    parts: slots * kvHeads * BLOCK * channels * 4,
  }
  const at = {} as Record<keyof typeof sizes, bigint>
  let bytes = 0
  for (const [name, size] of Object.entries(sizes)) {
    at[name as keyof typeof sizes] = BigInt(bytes)
    bytes += ceilDiv(size, 128) * 128
  }
  return { at, bytes }
}

/** 1 or 0, as kernels read it; sinks of another type are refused */
function inBf16(step: CudaStep, sinks: CudaTensor | null | undefined): number {
  return sinks && typeOf(step, sinks) === 'bf16' ? 1 : 0
}

/** struct Problem of problem.cuh */
function problem(step: Step, t: Tensors, scratch: bigint, parts = NO_PARTS): KernelArg[] {
  const at = (x: CudaTensor | null | undefined) => x?.at ?? 0n
  const stride = (x: CudaTensor | null | undefined) => x?.stride ?? 0
  const [dQ, dK, dV] = t.d ?? []
  const tensors = [t.q, t.k, t.v, t.dO, t.o, dQ, dK, dV, t.lse]
  const [delta, ...places] = Object.values(layout(t.k.rows, t.d ? step.attrs.heads : 0, parts).at).map((place) => scratch + place)
  const pointers = [...tensors.map(at), delta!, ...t.mask.map(at), at(t.sinks), ...places]
  return [...pointers, ...tensors.map(stride), t.q.rows, t.k.rows, inBf16(step, t.sinks), parts.slots, ...attrsOf(step)]
}

/** What goes before: the mask's tiles, the order of query blocks and, in backward, of blocks of keys; for Hopper tensor maps. */
function prepare({ work }: Choice, orders: 1 | 2, args: KernelArg[]): KernelLaunch[] {
  return work === 'in turn' ? [] : [kernel(before, 'attention_prepare', [orders + (work === 'queued' ? 1 : 0)], 1024, args)]
}

function statistics({ work }: Choice, step: Step, type: 'f32' | 'bf16', queries: number, args: KernelArg[]): KernelLaunch {
  const { heads } = step.attrs
  return work === 'in turn'
    ? kernel(simple, `attention_delta_${type}`, [queries, ceilDiv(heads, 4)], 128, args)
    : kernel(before, 'attention_statistics', [ceilDiv(queries, BLOCK) * (BLOCK / 16), heads], 256, args)
}

function launchOf(
  name: string,
  choice: Choice,
  { rows, threads, shared }: Kernel,
  tokens: number,
  heads: number,
  args: KernelArg[],
  slots = 0,
): KernelLaunch {
  // the order is of whole blocks of 128
  const blocks = choice.work === 'in turn' ? ceilDiv(tokens, rows) : ceilDiv(tokens, BLOCK) * (BLOCK / rows)
  const grid = { 'in turn': [blocks, heads], ordered: [heads, blocks], queued: [Math.min(heads * (blocks + slots), HOPPER_BLOCKS)] }[
    choice.work
  ]
  return kernel(choice.source, `${name}_${choice.suffix}`, grid, threads, args, shared)
}

export const cuda = [
  runs(attentionOp, {
    scratch: (step) => layout(step.inputs[1]!.rows, 0).bytes,
    launch(step, scratch, card) {
      const [q, k, v, visibleFrom, visibleUntil, depth, sinks] = step.inputs
      const [o, lse] = step.outputs
      const mask = [visibleFrom!, visibleUntil!, depth!]
      const args = problem(step, { q: q!, k: k!, v: v!, o: o!, lse: lse!, mask, sinks }, scratch)
      const choice = choose(step, [q!, k!, v!, o!], card)
      return [...prepare(choice, 1, args), launchOf('attention', choice, choice.forward, q!.rows, step.attrs.heads, args)]
    },
  }),
  runs(attentionBackwardOp, {
    scratch: (step, card) => layout(step.inputs[4]!.rows, step.attrs.heads, partsOf(step, card)).bytes,
    launch(step, scratch, card) {
      const [dO, o, lse, q, k, v, ...mask] = step.inputs as CudaTensor[]
      const { heads, kvHeads } = step.attrs
      const args = problem(step, { q: q!, k: k!, v: v!, o: o!, lse: lse!, mask, dO: dO!, d: step.outputs }, scratch, partsOf(step, card))
      const choice = choose(step, [q!, k!, v!, dO!, o!, ...step.outputs], card)
      return [
        ...prepare(choice, 2, args),
        statistics(choice, step, typeOf(step, dO!, o!), q!.rows, args),
        launchOf('attention_key_grad', choice, choice.keyGrad, k!.rows, kvHeads, args, partsOf(step, card).slots),
        launchOf('attention_query_grad', choice, choice.queryGrad, q!.rows, heads, args),
      ]
    },
  }),
  runs(sinkGradOp, {
    launch(step) {
      const [dO, o, lse, sinks, dSinks] = step.inputs as CudaTensor[]
      const type = typeOf(step, dO!, o!)
      const args = [dO!.at, dO!.stride, o!.at, o!.stride, lse!.at, lse!.stride, sinks!.at, inBf16(step, sinks), dSinks!.at]
      return [kernel(simple, `attention_sink_grad_${type}`, [sinks!.cols], 256, [dO!.rows, ...attrsOf(step), ...args])]
    },
  }),
]
