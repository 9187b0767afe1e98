/** Grouped products and their weights' gradients on Hopper (hopper.cuh, hopper-grad.cuh): which ones it takes, and their launch. */

import { materialise, materialisedBytes } from '../cast/cuda.ts'
import {
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  f32,
  hasTiles,
  type KernelLaunch,
  kernel,
  type Launch,
  quantArgs,
  source,
  tiles,
} from '../cuda-launch.ts'

const dense = source(import.meta.url, 'hopper.cu')
const decoding = source(import.meta.url, 'hopper-nf4.cu')
const gradient = source(import.meta.url, 'hopper-grad.cu')

export interface Operands {
  /** (experts + 1, 1) */
  offsets: CudaTensor
  experts: number
  /** w (experts · N, K), or (experts · K, N) where `trans` */
  parts: { x: CudaTensor; w: CudaTensor }[]
  trans: boolean
  alpha: number
  y: CudaTensor
}

/** parts of one launch */
export const MOST_PARTS = 8
/** whose tiles are counted in shared memory */
const MOST_EXPERTS = 1024
/** of a tile: columns of y; rows of a box, of x as of w, and their bytes in shared memory */
const WIDE = 128
const BOX_ROWS = 64
const BOX = 64 * 128
/** What hopper-tiles.cuh has, too: rows of a tile at most, stages, and of a stage boxes, w beside x or apart, where it is made of codes; threads of a block. */
export const RING = { dense: { high: 256, boxes: 6, stages: 4, threads: 384 }, decoding: { high: 320, boxes: 5, stages: 3, threads: 512 } }
/** stages of codes, slots of w that was codes */
export const CODES = { stages: 7, slots: 3 }
/** of a stage or slot: who fills it, who empties it */
const BARRIERS = 2 * 8
/** The struct Shared but for what it has of each expert: stages, panels of y, barriers and values of two tiles; the struct Coded, which is a word where it is empty. */
const SHARED = {
  dense: ringBytes(RING.dense) + 8,
  decoding: ringBytes(RING.decoding) + CODES.stages * (2 * 64 * (32 + 4) + BARRIERS) + CODES.slots * (2 * BOX + BARRIERS) + MOST_PARTS * 64,
}

function ringBytes({ boxes, stages }: { boxes: number; stages: number }): number {
  return stages * (boxes * BOX + BARRIERS) + 2 * BOX + 2 * (BARRIERS + 20)
}

/** multiprocessors of a card of this kind */
const BLOCKS = 132

/** how many tiles `high` rows high M rows make at most, however experts share them */
export const tilesOf = (M: number, experts: number, high: number) => Math.floor((M + Math.min(M, experts) * (high - 1)) / high)

const isPower = (n: number) => n >= 1 && Number.isInteger(Math.log2(n))

/** Runs of 64 codes have one scale and begin at multiples of 16 bytes; which one's is a matter of shifts. */
function hasRuns({ at, cols, stride, quant }: CudaTensor): boolean {
  if (quant === null || cols % 64 !== 0 || stride !== cols || at % 16n !== 0n) return false
  return quant.blocksize % 64 === 0 && isPower(quant.blocksize) && isPower(quant.blocksize2)
}

const coded = ({ dtype }: CudaTensor) => dtype === 'nf4'

/** bytes of the number of the next tile, which lies ahead of the weights */
const QUEUE = 256

/** weights of another type than NF4 come as bf16 */
export function hopperScratch({ parts, y }: Operands): number {
  if (y.dtype !== 'bf16') return 0
  return parts.reduce((sum, { w }) => sum + (coded(w) ? 0 : materialisedBytes(w, 'bf16')), QUEUE)
}

/** null: it doesn't take them */
export function hopperLaunch(step: CudaStep, o: Operands, scratch: bigint): Launch[] | null {
  const { offsets, experts, parts, trans, alpha, y } = o
  const fits =
    experts <= MOST_EXPERTS &&
    [y, ...parts.map(({ x }) => x)].every(hasTiles) &&
    y.cols % 8 === 0 &&
    parts.every(({ w }) => (coded(w) ? hasRuns(w) : w.dtype !== 'bf16' || hasTiles(w)))
  if (!fits) return null
  const plain = parts.flatMap(({ w }) => (coded(w) ? [] : [w]))
  const made = materialise(step, plain, 'bf16', scratch + BigInt(QUEUE))
  const weights = parts.map(({ w }) => (coded(w) ? w : made.dense[plain.indexOf(w)]!))
  const way = weights.some(coded) ? 'decoding' : 'dense'

  const of = <T>(make: (p: number) => T, unused: T) => Array.from({ length: MOST_PARTS }, (_, p) => (p < parts.length ? make(p) : unused))
  const none = tiles(null, 0)
  const maps = [...of((p) => tiles(parts[p]!.x, BOX_ROWS), none), ...of((p) => tiles(weights[p]!, BOX_ROWS, experts), none)]
  const quants = of((p) => quantArgs(weights[p]!.quant), quantArgs(null))
  const sizes = [offsets.stride, y.stride, experts, y.cols, parts.length, ...of((p) => parts[p]!.x.cols, 0)]
  const bytes = 1024 + SHARED[way] + 8 * (experts + 1)
  const blocks = Math.min(tilesOf(y.rows, experts, RING[way].high) * ceilDiv(y.cols, WIDE), BLOCKS)
  const name = `grouped_hopper${way === 'decoding' ? '_nf4' : ''}${trans ? '_trans' : ''}`
  const parameters = [maps, [...quants.flat(), offsets.at, y.at, scratch, ...sizes, f32(alpha)]]
  const zero: Launch = { kind: 'zero', at: scratch, rows: 1, bytes: 4, pitch: 4 }
  return [...made.launches, zero, kernel(way === 'decoding' ? decoding : dense, name, [blocks], RING[way].threads, { parameters }, bytes)]
}

export interface GradOperands {
  /** (experts + 1, 1) */
  offsets: CudaTensor
  /** (M, N) */
  dY: CudaTensor
  /** (M, K) */
  x: CudaTensor
  /** (experts · N, K) f32 */
  dW: CudaTensor
  alpha: number
}

/** Columns of the narrower side, a rank's mostly, up to which this gradient is the faster one: reading and writing dW bounds a wider one, which
 * takes 4.4 ms here and 2.4 without (bench/results/grouped-h100.txt). */
const NARROW = 128
/** columns of x in a tile of the gradient's, and stages of its ring */
const GRAD_WIDTHS = [64, 128, 256]
const GRAD_STAGES = 4

/** null: it doesn't take them */
export function hopperGradLaunch({ offsets, dY, x, dW, alpha }: GradOperands): KernelLaunch | null {
  const experts = offsets.rows - 1
  // two neighbours of dW are read and written at once
  const inPairs = dW.at % 8n === 0n && dW.stride % 2 === 0 && x.cols % 2 === 0
  if (experts > MOST_EXPERTS || !hasTiles(dY) || !hasTiles(x) || !inPairs || Math.min(dY.cols, x.cols) > NARROW) return null
  const wide = GRAD_WIDTHS.find((w) => x.cols <= w) ?? GRAD_WIDTHS.at(-1)!
  const shared = 1024 + GRAD_STAGES * (2 * BOX + wide * 128 + 16) + 8 * (experts + 1)
  const blocks = Math.min(Math.min(experts, dY.rows) * ceilDiv(dY.cols, WIDE) * ceilDiv(x.cols, wide), BLOCKS)
  const sizes = [offsets.stride, dW.stride, experts, dY.cols, x.cols]
  const parameters = [
    [tiles(dY, BOX_ROWS), tiles(x, BOX_ROWS)],
    [offsets.at, dW.at, ...sizes, f32(alpha)],
  ]
  return kernel(gradient, `grouped_hopper_grad_${wide}`, [blocks], 384, { parameters }, shared)
}
