/** Grouped products on Hopper (hopper.cuh): which ones it takes, and their launch. */

import { materialise, materialisedBytes } from '../cast/cuda.ts'
import {
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  f32,
  hasTiles,
  type KernelArg,
  type KernelLaunch,
  kernel,
  quantArgs,
  source,
  tiles,
} from '../cuda-launch.ts'

const dense = source(import.meta.url, 'hopper.cu')
const decoding = source(import.meta.url, 'hopper-nf4.cu')

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
const MOST_EXPERTS = 4096
/** rows of a tile, and of a box of x; bytes of 64 rows in shared memory */
const HIGH = 128
const BOX_ROWS = 64
const BOX = 64 * 128
/** columns of a tile: stages of its ring, and its time in that of the widest one's */
const WIDTHS = [
  { columns: 256, stages: 4, time: 1, codes: true },
  { columns: 128, stages: 6, time: 0.56, codes: true },
  { columns: 64, stages: 6, time: 0.35, codes: false },
]
/** multiprocessors of a card of this kind */
const BLOCKS = 132

/** how many tiles `high` rows high M rows make at most, however experts share them */
export const tilesOf = (M: number, experts: number, high: number) => Math.floor((M + Math.min(M, experts) * (high - 1)) / high)

/** runs of 64 codes, which a stage is made of, have one scale and begin at multiples of 16 bytes */
function hasRuns({ at, cols, stride, quant }: CudaTensor): boolean {
  return cols % 64 === 0 && stride === cols && at % 16n === 0n && quant !== null && quant.blocksize % 64 === 0
}

const coded = ({ dtype }: CudaTensor) => dtype === 'nf4'

/** weights of another type than NF4 come as bf16 */
export function hopperScratch({ parts, y }: Operands): number {
  if (y.dtype !== 'bf16') return 0
  return parts.reduce((sum, { w }) => sum + (coded(w) ? 0 : materialisedBytes(w, 'bf16')), 0)
}

/** null: it doesn't take them */
export function hopperLaunch(step: CudaStep, o: Operands, scratch: bigint): KernelLaunch[] | null {
  const { offsets, experts, parts, trans, alpha, y } = o
  const fits =
    experts <= MOST_EXPERTS &&
    [y, ...parts.map(({ x }) => x)].every(hasTiles) &&
    y.cols % 8 === 0 &&
    parts.every(({ w }) => (coded(w) ? hasRuns(w) : w.dtype !== 'bf16' || hasTiles(w)))
  if (!fits) return null
  const plain = parts.flatMap(({ w }) => (coded(w) ? [] : [w]))
  const made = materialise(step, plain, 'bf16', scratch)
  const weights = parts.map(({ w }) => (coded(w) ? w : made.dense[plain.indexOf(w)]!))
  const decodes = weights.some(coded)
  const { columns, stages } = widthOf(y, decodes)

  const of = <T>(make: (p: number) => T, unused: T) => Array.from({ length: MOST_PARTS }, (_, p) => (p < parts.length ? make(p) : unused))
  const none = tiles(null, 0)
  const map = (w: CudaTensor) => (coded(w) ? none : tiles(w, trans ? 64 : columns, experts))
  const maps = [...of((p) => tiles(parts[p]!.x, BOX_ROWS), none), ...of((p) => map(weights[p]!), none)]
  const codes = of<KernelArg[]>((p) => (coded(weights[p]!) ? [weights[p]!.at, ...quantArgs(weights[p]!.quant)] : NO_CODES), NO_CODES)
  const sizes = [offsets.stride, y.stride, experts, y.cols, parts.length, ...of((p) => parts[p]!.x.cols, 0)]
  const shared = 1024 + stages * (2 * BOX + columns * 128) + 2 * BOX + 16 * stages + MOST_PARTS * 64 + 4 * (experts + 1) + 8
  const blocks = Math.min(tilesOf(y.rows, experts, HIGH) * ceilDiv(y.cols, columns), BLOCKS)
  const name = `grouped_hopper_${columns}${decodes ? '_nf4' : ''}${trans ? '_trans' : ''}`
  const parameters = [maps, [...codes.flat(), offsets.at, y.at, ...sizes, f32(alpha)]]
  return [...made.launches, kernel(decodes ? decoding : dense, name, [blocks], 384, { parameters }, shared)]
}

const NO_CODES: KernelArg[] = [0n, ...quantArgs(null)]

/** the width whose tiles are through first */
function widthOf(y: CudaTensor, decodes: boolean): (typeof WIDTHS)[number] {
  const cost = (w: (typeof WIDTHS)[number]) => ceilDiv(y.cols, w.columns) * w.time
  return WIDTHS.filter(({ codes }) => codes || !decodes).reduce((best, w) => (cost(w) < cost(best) ? w : best))
}
