import { SaqrError } from '../../error.ts'
import {
  bytesOf,
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  type KernelArg,
  type KernelLaunch,
  kernel,
  quantArgs,
  runs,
  source,
} from '../cuda-launch.ts'
import { castOp } from './op.ts'

const from = source(import.meta.url)

const SOURCES: readonly CudaTensor['dtype'][] = ['f32', 'bf16', 'f16']

/** y = x, element by element in y's type; `name`: whose, in an error */
export function castInto(name: string, x: CudaTensor, y: CudaTensor): KernelLaunch {
  if (x.dtype === 'nf4') return dequantiseInto(name, x, y)
  if (!SOURCES.includes(x.dtype) || (y.dtype !== 'f32' && y.dtype !== 'bf16')) throw unsupported(name, x, y)
  const grid = [x.rows, Math.min(ceilDiv(x.cols, 256), 65535)]
  return kernel(from, `cast_${x.dtype}_${y.dtype}`, grid, 256, [x.cols, x.at, x.stride, y.at, y.stride])
}

function dequantiseInto(name: string, x: CudaTensor, y: CudaTensor): KernelLaunch {
  const q = x.quant
  if (!q || x.stride !== x.cols || y.stride !== y.cols || q.blocksize % 16 !== 0) throw unsupported(name, x, y)
  if (y.dtype !== 'f32' && y.dtype !== 'bf16') throw unsupported(name, x, y)
  const grid = [ceilDiv(x.rows * x.cols, 16 * 256)]
  return kernel(from, `dequantise_nf4_${y.dtype}`, grid, 256, [x.rows, x.cols, x.at, y.at, ...quantArgs(q)])
}

function unsupported(name: string, x: CudaTensor, y: CudaTensor): SaqrError {
  return new SaqrError(
    'DEVICE_DTYPE',
    `${name}: no CUDA kernel turns ${x.dtype} (${x.rows} × ${x.cols}, stride ${x.stride}) into ${y.dtype}.`,
  )
}

/** elements from one row of a copy to the next: rows begin at multiples of 16 bytes, NF4's without gaps */
const copyStride = (w: CudaTensor) => (w.dtype === 'nf4' ? w.cols : ceilDiv(w.cols, 8) * 8)

/** bytes of scratch that a weight's copy takes */
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

/** Weights as matrices of `dtype`: themselves where they are such, else copies in scratch, one behind the other; those of f32 are made together. */
export function materialise(
  step: CudaStep,
  weights: readonly CudaTensor[],
  dtype: CudaTensor['dtype'],
  scratch: bigint,
): { dense: CudaTensor[]; launches: KernelLaunch[] } {
  let at = scratch
  const [launches, together]: [KernelLaunch[], { x: CudaTensor; y: CudaTensor }[]] = [[], []]
  const dense = weights.map((x) => {
    if (x.dtype === dtype) return x
    const y: CudaTensor = { at, rows: x.rows, cols: x.cols, stride: copyStride(x), dtype, quant: null }
    at += BigInt(materialisedBytes(x, dtype))
    if (x.dtype === 'f32' && dtype === 'bf16') together.push({ x, y })
    else launches.push(castInto(step.name, x, y))
    return y
  })
  for (let i = 0; i < together.length; i += PIECES) launches.push(castPieces(together.slice(i, i + PIECES)))
  return { dense, launches }
}

export const cuda = [
  runs(castOp, {
    launch: (step) => [castInto(step.name, step.inputs[0]!, step.outputs[0]!)],
  }),
]
