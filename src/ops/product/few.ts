/** A product of few rows (few.cuh): which ones it takes, and its launch. */
import {
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  f32,
  type KernelArg,
  type KernelLaunch,
  kernel,
  quantArgs,
  source,
  storedType,
} from '../cuda-launch.ts'
import type { Operands } from './large.ts'

const from = source(import.meta.url, 'few.cu')

const PARTS = 4
const ROWS = 16
/** bytes of the NF4 table, wherever shared memory begins */
const TABLE = 2 * 2048 + 1024
/** beside what `storedType` numbers */
const NF4 = 3
/** tiles of 16 columns that a block takes, and its warps, from so many columns on: wide products fill a card with larger blocks too */
const SHAPES = [
  { from: 8192, tiles: 4, warps: 8 },
  { from: 2048, tiles: 2, warps: 16 },
  { from: 0, tiles: 1, warps: 16 },
]

const aligned = ({ at, stride }: CudaTensor) => at % 16n === 0n && stride % 8 === 0

/** blocks are found by shifts */
const ofTwo = (n: number) => n > 0 && (n & (n - 1)) === 0

/**
 * A lane's 32 elements share a scale. What NF4 may have a copy of in bf16 is taken under the same conditions: where the copy lies must not change
 * a bit. An adapter's f32 is never such a copy, and its rank may be 8.
 */
function readable(w: CudaTensor): boolean {
  if (w.dtype !== 'nf4') return w.cols % (w.dtype === 'f32' ? 8 : 32) === 0 && aligned(w)
  const { quant } = w
  if (quant === null || !ofTwo(quant.blocksize) || quant.blocksize < 32) return false
  return (quant.absmax !== 0n || ofTwo(quant.blocksize2)) && w.cols % 32 === 0 && w.stride === w.cols && w.at % 16n === 0n
}

export function fewFits({ parts, trans, addend, y }: Operands, arch: number): boolean {
  if (arch < 80 || trans || y.dtype !== 'bf16' || y.rows > ROWS || parts.length > PARTS) return false
  return (!addend || addend.dtype === 'bf16') && parts.every(({ x, w }) => x.dtype === 'bf16' && aligned(x) && readable(w))
}

export function fewLaunch(step: CudaStep, { parts, alpha, addend, bias, y }: Operands): KernelLaunch {
  const { tiles, warps } = SHAPES.find((shape) => y.cols >= shape.from)!
  const each = Array.from({ length: PARTS }, (_, i): KernelArg[] => {
    const part = parts[i]
    if (!part) return [0n, 0n, 0, 0, 0, 0, ...quantArgs(null)]
    const { x, w } = part
    return [x.at, w.at, x.stride, w.stride, x.cols, w.dtype === 'nf4' ? NF4 : storedType(step, w), ...quantArgs(w.quant)]
  })
  const pointers = [addend?.at ?? 0n, bias?.at ?? 0n, y.at]
  const sizes = [addend?.stride ?? 0, y.stride, y.rows, y.cols, parts.length, bias ? storedType(step, bias) : 0]
  // struct Few of few.cuh
  const args = [...each.flat(), ...pointers, ...sizes, f32(alpha), 0]
  return kernel(
    from,
    `product_few_${tiles}`,
    [ceilDiv(y.cols, 16 * tiles)],
    32 * warps,
    args,
    Math.max(TABLE, 4 * warps * 16 * tiles * ROWS),
  )
}
