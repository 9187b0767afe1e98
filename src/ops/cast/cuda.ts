import { SaqrError } from '../../error.ts'
import {
  bytesOf,
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  f32,
  type KernelArg,
  type KernelLaunch,
  kernel,
  runs,
  source,
} from '../cuda-launch.ts'
import { castOp } from './op.ts'

const from = source(import.meta.url)

const SOURCES: readonly CudaTensor['dtype'][] = ['f32', 'bf16', 'f16']

/** y = x, element by element in y's type */
export function castInto(step: CudaStep, x: CudaTensor, y: CudaTensor): KernelLaunch {
  if (x.dtype === 'nf4') return dequantiseInto(step, x, y)
  if (!SOURCES.includes(x.dtype) || (y.dtype !== 'f32' && y.dtype !== 'bf16')) throw unsupported(step, x, y)
  const grid = [x.rows, Math.min(ceilDiv(x.cols, 256), 65535)]
  return kernel(from, `cast_${x.dtype}_${y.dtype}`, grid, 256, [x.cols, x.at, x.stride, y.at, y.stride])
}

function dequantiseInto(step: CudaStep, x: CudaTensor, y: CudaTensor): KernelLaunch {
  const q = x.quant
  if (!q || x.stride !== x.cols || y.stride !== y.cols || q.blocksize % 16 !== 0) throw unsupported(step, x, y)
  if (y.dtype !== 'f32' && y.dtype !== 'bf16') throw unsupported(step, x, y)
  const grid = [ceilDiv(x.rows * x.cols, 16 * 256)]
  const state = [q.codebook, q.absmax, q.absmax8, q.code2, q.absmax2, f32(q.offset), q.blocksize, q.blocksize2]
  return kernel(from, `dequantise_nf4_${y.dtype}`, grid, 256, [x.rows, x.cols, x.at, y.at, ...state])
}

function unsupported(step: CudaStep, x: CudaTensor, y: CudaTensor): SaqrError {
  return new SaqrError(
    'DEVICE_DTYPE',
    `${step.name}: no CUDA kernel turns ${x.dtype} (${x.rows} × ${x.cols}, stride ${x.stride}) into ${y.dtype}.`,
  )
}

/** elements from one row of a copy to the next: rows begin at multiples of 16 bytes, NF4's without gaps */
const copyStride = (w: CudaTensor) => (w.dtype === 'nf4' ? w.cols : ceilDiv(w.cols, 8) * 8)

/** `w` as a matrix of `dtype`: w itself where it is one, else a copy in scratch made by `launch`. */
export function materialise(
  step: CudaStep,
  w: CudaTensor,
  dtype: CudaTensor['dtype'],
  scratch: bigint,
): { w: CudaTensor; launch: KernelLaunch[] } {
  if (w.dtype === dtype) return { w, launch: [] }
  const dense = copyOf(w, dtype, scratch)
  return { w: dense, launch: [castInto(step, w, dense)] }
}

/** w's copy in `dtype` at an address */
function copyOf(w: CudaTensor, dtype: CudaTensor['dtype'], at: bigint): CudaTensor {
  return { at, rows: w.rows, cols: w.cols, stride: copyStride(w), dtype, quant: null }
}

/** bytes of scratch `materialise` needs */
export function materialisedBytes(w: CudaTensor, dtype: CudaTensor['dtype']): number {
  return w.dtype === dtype ? 0 : ceilDiv(w.rows * copyStride(w) * bytesOf(dtype), 256) * 256
}

/** how many matrices one launch takes (Pieces in cuda.cu) */
const PIECES = 8

/** f32 matrices into bf16 ones of the same shapes */
function castPieces(list: readonly { x: CudaTensor; y: CudaTensor }[]): KernelLaunch {
  const largest = Math.max(...list.map(({ x }) => x.rows * x.cols))
  const pieces = list.flatMap(({ x, y }) => [x.at, y.at, x.rows, x.cols, x.stride, y.stride])
  const unused = Array<KernelArg>((PIECES - list.length) * 4).fill(0n)
  return kernel(from, 'cast_pieces', [Math.min(ceilDiv(largest, 256), 65535), list.length], 256, [...pieces, ...unused])
}

/** Several weights as matrices of `dtype`, all in scratch at once; those of an adapter (f32) are made by one launch. */
export function materialiseAll(
  step: CudaStep,
  weights: readonly CudaTensor[],
  dtype: CudaTensor['dtype'],
  scratch: bigint,
): { dense: CudaTensor[]; launches: KernelLaunch[] } {
  let at = scratch
  const made = weights.map((x) => {
    if (x.dtype === dtype) return { x, y: x, together: false }
    const y = copyOf(x, dtype, at)
    at += BigInt(materialisedBytes(x, dtype))
    return { x, y, together: x.dtype === 'f32' && dtype === 'bf16' }
  })
  const launches = made.filter(({ x, y, together }) => x !== y && !together).map(({ x, y }) => castInto(step, x, y))
  const together = made.filter((m) => m.together)
  for (let i = 0; i < together.length; i += PIECES) launches.push(castPieces(together.slice(i, i + PIECES)))
  return { dense: made.map(({ y }) => y), launches }
}

export const cuda = [
  runs(castOp, {
    launch: (step) => [castInto(step, step.inputs[0]!, step.outputs[0]!)],
  }),
]
