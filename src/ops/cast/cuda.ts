import { SaqrError } from '../../error.ts'
import { bytesOf, type CudaStep, type CudaTensor, ceilDiv, f32, type KernelLaunch, kernel, runs, source } from '../cuda-launch.ts'
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

/** `w` as a dense matrix of `dtype`: w itself where it is one, else a copy in scratch made by `launch`. */
export function materialise(
  step: CudaStep,
  w: CudaTensor,
  dtype: CudaTensor['dtype'],
  scratch: bigint,
): { w: CudaTensor; launch: KernelLaunch[] } {
  if (w.dtype === dtype) return { w, launch: [] }
  const dense: CudaTensor = { at: scratch, rows: w.rows, cols: w.cols, stride: w.cols, dtype, quant: null }
  return { w: dense, launch: [castInto(step, w, dense)] }
}

/** bytes of scratch `materialise` needs */
export function materialisedBytes(w: CudaTensor, dtype: CudaTensor['dtype']): number {
  return w.dtype === dtype ? 0 : ceilDiv(w.rows * w.cols * bytesOf(dtype), 256) * 256
}

export const cuda = [
  runs(castOp, {
    launch: (step) => [castInto(step, step.inputs[0]!, step.outputs[0]!)],
  }),
]
