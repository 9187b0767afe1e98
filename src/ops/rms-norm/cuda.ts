import { addChunks, chunksOf } from '../column-sum/cuda.ts'
import {
  attrsOf,
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  instance,
  type KernelArg,
  kernel,
  runs,
  source,
  storedType,
  typeOf,
  vectorWidth,
} from '../cuda-launch.ts'
import { addRmsNormOp, rmsNormBackwardOp, rmsNormOp, rmsNormWeightGradOp } from './op.ts'

const from = source(import.meta.url)

const [heads, longer] = [source(import.meta.url, 'heads.cu'), source(import.meta.url, 'rows.cu')]

/** Threads that share a unit, and the vectors of 16 bytes that each holds: the first that take it all. The third holds 512 channels of either type. */
const held = (width: number) => [
  { threads: 16, vectors: 1, from: heads },
  { threads: 32, vectors: 1, from: heads },
  { threads: 32, vectors: 16 / width, from: heads },
  { threads: 256, vectors: 2, from: longer },
  { threads: 256, vectors: 4, from: longer },
]
/** up to this many channels that are read again for every sweep one warp normalises a unit, above it a block */
const WARP_UNIT = 512

function shapeOf(group: number, width: number) {
  const found = width > 1 && held(width).find(({ threads, vectors }) => group <= threads * vectors * width)
  return found || { threads: width === 1 && group <= WARP_UNIT ? 32 : 256, vectors: 0, from }
}

/** `tensors`: all (T, C) tensors of the kernel; `args`: what follows rows and groups */
function launchUnits(step: CudaStep, name: string, group: number, tensors: (CudaTensor | null)[], w: CudaTensor, args: KernelArg[]) {
  const { rows, cols } = tensors[0]!
  const groups = cols / group
  const width = group % 8 === 0 && w.at % 16n === 0n ? vectorWidth(tensors, group) : 1
  const { threads, vectors, from: units } = shapeOf(group, width)
  const type = typeOf(step, ...tensors)
  const grid = [ceilDiv(rows * groups, 256 / threads)]
  return [kernel(units, `${name}_${instance(type, width)}_${threads}_${vectors}`, grid, 256, [rows, groups, ...args])]
}

const at = (t: CudaTensor | null) => [t?.at ?? 0n, t?.stride ?? 0] as const

export const cuda = [
  runs(rmsNormOp, {
    launch(step) {
      const [x, w] = step.inputs
      const [y, rstd] = step.outputs
      const { group } = step.attrs
      return launchUnits(step, 'rms_norm', group, [x!, y!], w!, [
        ...at(x!),
        w!.at,
        storedType(step, w!),
        ...at(y!),
        ...at(rstd!),
        ...attrsOf(step),
      ])
    },
  }),
  runs(addRmsNormOp, {
    launch(step) {
      const [x, delta, w] = step.inputs
      const [h, y, rstd] = step.outputs
      const { group } = step.attrs
      const args = [...at(x!), ...at(delta!), w!.at, storedType(step, w!), ...at(h!), ...at(y!), ...at(rstd!), ...attrsOf(step)]
      return launchUnits(step, 'add_rms_norm', group, [x!, delta!, h!, y!], w!, args)
    },
  }),
  runs(rmsNormBackwardOp, {
    launch(step) {
      const [dY, x, w, rstd, dResidual] = step.inputs
      const [d] = step.outputs
      const { group } = step.attrs
      const args = [...at(dY!), ...at(x!), w!.at, storedType(step, w!), ...at(rstd!), ...at(dResidual ?? null), ...at(d!), ...attrsOf(step)]
      return launchUnits(step, 'rms_norm_backward', group, [dY!, x!, dResidual ?? null, d!], w!, args)
    },
  }),
  runs(rmsNormWeightGradOp, {
    scratch(step) {
      const [dY, , , dW] = step.inputs
      return chunksOf((dY!.rows * dY!.cols) / dW!.cols).count * dW!.cols * 4
    },
    launch(step, scratch) {
      const [dY, x, rstd] = step.inputs
      const [dW] = step.outputs
      const group = dW!.cols
      const groups = dY!.cols / group
      const { count, size } = chunksOf(dY!.rows * groups)
      const args = [dY!.rows, groups, group, ...at(dY!), ...at(x!), ...at(rstd!), scratch, size]
      return [
        kernel(from, `rms_norm_weight_grad_${typeOf(step, dY!, x!)}`, [count, ceilDiv(group, 128)], 128, args),
        addChunks(scratch, count, dW!),
      ]
    },
  }),
]
