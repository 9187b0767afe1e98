/** The large product on Hopper (large.cuh): which ones it takes, and its launch. */

import {
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  f32,
  hasTiles,
  type KernelArg,
  type KernelLaunch,
  kernel,
  source,
  storedType,
  tiles,
} from '../cuda-launch.ts'

const from = source(import.meta.url, 'large.cu')

export interface Operands {
  /** w (N, K), or (K, N) where `trans` */
  parts: { x: CudaTensor; w: CudaTensor }[]
  trans: boolean
  alpha: number
  addend: CudaTensor | null
  bias: CudaTensor | null
  y: CudaTensor
}

const PARTS = 8
/** rows of a cluster's two tiles, of one of them; bytes of 64 rows in shared memory */
const PAIR = 256
const HIGH = 128
const BOX = 64 * 128
/** columns of a tile: stages of its ring, and its time in that of the widest one's; the one of three quarters fills rounds that neither other does */
const WIDTHS = [
  { columns: 256, stages: 4, time: 1 },
  { columns: 192, stages: 4, time: 0.78 },
  { columns: 128, stages: 6, time: 0.56 },
]
/** multiprocessors of a card of this kind: the choice of a tile must not depend on the card */
const BLOCKS = 132

export function largeFits({ parts, addend, y }: Operands): boolean {
  const operands = [y, ...(addend ? [addend] : []), ...parts.flatMap(({ x, w }) => [x, w])]
  return parts.length <= PARTS && operands.every(hasTiles) && y.rows > HIGH
}

/** the width whose tiles are through first */
function widthOf(y: CudaTensor): (typeof WIDTHS)[number] {
  const cost = (w: (typeof WIDTHS)[number]) => ceilDiv(2 * ceilDiv(y.rows, PAIR) * ceilDiv(y.cols, w.columns), BLOCKS) * w.time
  return WIDTHS.reduce((best, w) => (cost(w) < cost(best) ? w : best))
}

export function largeLaunch(step: CudaStep, { parts, trans, alpha, addend, bias, y }: Operands): KernelLaunch {
  const { columns, stages } = widthOf(y)
  const of = <T>(make: (part: (typeof parts)[number] | null) => T) => Array.from({ length: PARTS }, (_, p) => make(parts[p] ?? null))
  const maps: KernelArg[] = [
    ...of((part) => tiles(part?.x ?? null, HIGH)),
    ...of((part) => tiles(part?.w ?? null, trans ? 64 : columns / 2)),
    tiles(y, 64),
    tiles(addend, HIGH),
  ]
  const sizes: KernelArg[] = [y.rows, y.cols, parts.length, ...of((part) => part?.x.cols ?? 0)]
  const rest: KernelArg[] = [f32(alpha), addend ? 1 : 0, bias ? storedType(step, bias) : 0, 0, bias?.at ?? 0n]
  const shared = stages * (2 * BOX + columns * 128) + 4 * BOX + 1024 + 128
  const blocks = 2 * ceilDiv(y.rows, PAIR) * ceilDiv(y.cols, columns)
  const grid = [Math.min(blocks, BLOCKS)]
  return kernel(from, `product_large_${columns}${trans ? '_trans' : ''}`, grid, 384, { parameters: [maps, sizes, rest] }, shared)
}
