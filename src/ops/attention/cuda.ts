/**
 * Attention without T × T (FlashAttention-2, Dao 2023): on tensor cores for bf16 with heads of up to 128 channels, else in f32 arithmetic.
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
  kernel,
  runs,
  source,
  typeOf,
} from '../cuda-launch.ts'
import { attentionBackwardOp, attentionOp } from './op.ts'

const from = source(import.meta.url)
const simple = source(import.meta.url, 'simple.cu')
const tensor = {
  '64': source(import.meta.url, 'tensor64.cu'),
  '128': source(import.meta.url, 'tensor128.cu'),
  '64_capped': source(import.meta.url, 'tensor64-capped.cu'),
  '128_capped': source(import.meta.url, 'tensor128-capped.cu'),
}
/** of a head, in the kernels in f32 arithmetic */
const MOST_CHANNELS = 512

/** kTile of problem.cuh */
const TILE = 64

interface Choice {
  source: CudaSource
  suffix: string
  /** rows a block owns: queries in forward, queries or keys in backward */
  rows: { forward: number; backward: number }
  threads: number
  shared: { forward: number; queryGrad: number; keyGrad: number }
}

type Step = CudaStep<typeof attentionOp.attrs>

function choose(step: Step, tensors: CudaTensor[], card: Card): Choice {
  const type = typeOf(step, ...tensors)
  const { headDim, scale, softCap } = step.attrs
  const aligned = tensors.every((t) => t.at % 16n === 0n && t.stride % 8 === 0)
  if (type === 'bf16' && headDim <= 128 && headDim % 8 === 0 && aligned && scale > 0 && card.arch >= 80) {
    const size = headDim <= 64 ? 64 : 128
    const row = (size + 8) * 2
    // as the kernels lay it out: four tiles of 32 rows pass by, with three words a row (its mask, or lse, delta and depth) in two stages
    const passing = 4 * 32 * row + 2 * 32 * 12
    const shared = { forward: 128 * row + passing, queryGrad: 2 * 64 * row + passing, keyGrad: 2 * 64 * row + passing }
    const name = `${size}${softCap > 0 ? '_capped' : ''}` as const
    return { source: tensor[name], suffix: `tensor_${name}`, rows: { forward: 128, backward: 64 }, threads: 128, shared }
  }
  if (headDim > MOST_CHANNELS)
    throw new SaqrError('DEVICE_SHAPE', `${step.name}: heads of ${headDim} channels; the CUDA kernels take up to ${MOST_CHANNELS}.`)
  // as Tiling of simple.cuh has them
  const size = headDim <= 128 ? 128 : headDim <= 256 ? 256 : 512
  const n = size > 256 ? 8 : size > 128 ? 16 : 32
  const threads = size > 256 ? 64 : 256
  const tile = n * (size + 1) * 4
  const weights = n * (n + 1) * 4
  const shared = { forward: 2 * tile + weights, queryGrad: 4 * tile + weights, keyGrad: 4 * tile + 2 * weights }
  return { source: simple, suffix: `simple_${type}_${size}`, rows: { forward: n, backward: n }, threads, shared }
}

interface Tensors {
  q: CudaTensor
  k: CudaTensor
  v: CudaTensor
  o: CudaTensor
  lse: CudaTensor
  mask: CudaTensor[]
  queryStart?: CudaTensor | null
  dO?: CudaTensor
  d?: CudaTensor[]
}

/** struct Problem of problem.cuh */
function problem(step: Step, t: Tensors, tiles: bigint, delta: bigint): KernelArg[] {
  const at = (x: CudaTensor | null | undefined) => x?.at ?? 0n
  const stride = (x: CudaTensor | null | undefined) => x?.stride ?? 0
  const [dQ, dK, dV] = t.d ?? []
  const pointers = [t.q, t.k, t.v, t.dO, t.o, dQ, dK, dV, t.lse].map(at)
  const strides = [t.q, t.k, t.v, t.dO, t.o, dQ, dK, dV, t.lse].map(stride)
  return [...pointers, delta, ...t.mask.map(at), at(t.queryStart), tiles, ...strides, t.q.rows, t.k.rows, ...attrsOf(step)]
}

const tileBytes = (keys: number) => ceilDiv(keys, TILE) * 16

export const cuda = [
  runs(attentionOp, {
    scratch: (step) => tileBytes(step.inputs[1]!.rows),
    launch(step, scratch, card) {
      const [q, k, v, visibleFrom, visibleUntil, depth, queryStart] = step.inputs
      const [o, lse] = step.outputs
      const mask = [visibleFrom!, visibleUntil!, depth!]
      const args = problem(step, { q: q!, k: k!, v: v!, o: o!, lse: lse!, mask, queryStart }, scratch, 0n)
      const { source, suffix, rows, threads, shared } = choose(step, [q!, k!, v!, o!], card)
      return [
        kernel(from, 'attention_tiles', [ceilDiv(k!.rows, TILE)], 32, args),
        kernel(source, `attention_${suffix}`, [ceilDiv(q!.rows, rows.forward), step.attrs.heads], threads, args, shared.forward),
      ]
    },
  }),
  runs(attentionBackwardOp, {
    scratch: (step) => tileBytes(step.inputs[4]!.rows) + step.inputs[3]!.rows * step.attrs.heads * 4,
    launch(step, scratch, card) {
      const [dO, o, lse, q, k, v, ...mask] = step.inputs as CudaTensor[]
      const { heads, kvHeads } = step.attrs
      const delta = scratch + BigInt(tileBytes(k!.rows))
      const args = problem(step, { q: q!, k: k!, v: v!, o: o!, lse: lse!, mask, dO: dO!, d: step.outputs }, scratch, delta)
      const { source, suffix, rows, threads, shared } = choose(step, [q!, k!, v!, dO!, o!, ...step.outputs], card)
      return [
        kernel(from, 'attention_tiles', [ceilDiv(k!.rows, TILE)], 32, args),
        kernel(from, `attention_delta_${typeOf(step, dO!, o!)}`, [q!.rows, ceilDiv(heads, 4)], 128, args),
        kernel(source, `attention_key_grad_${suffix}`, [ceilDiv(k!.rows, rows.backward), kvHeads], threads, args, shared.keyGrad),
        kernel(source, `attention_query_grad_${suffix}`, [ceilDiv(q!.rows, rows.backward), heads], threads, args, shared.queryGrad),
      ]
    },
  }),
]
