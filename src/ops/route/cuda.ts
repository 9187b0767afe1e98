import { SaqrError } from '../../error.ts'
import { attrsOf, type CudaStep, type CudaTensor, ceilDiv, type KernelArg, kernel, runs, source, typeOf } from '../cuda-launch.ts'
import { routeBackwardOp, routeOp } from './op.ts'

const from = source(import.meta.url)

const MOST_EXPERTS = 4096
/** bytes of shared memory that a block has without asking */
const SHARED = 48 << 10

/** A token a warp: as many to a block as its shared memory has room for, `words` of them for each expert. */
export function tokenWarps(step: CudaStep, name: string, logits: CudaTensor, words: number, args: KernelArg[], module = from) {
  const { rows, cols } = logits
  if (cols > MOST_EXPERTS)
    throw new SaqrError('DEVICE_UNSUPPORTED', `${step.name}: ${name} on CUDA takes up to ${MOST_EXPERTS} experts, not ${cols}.`)
  const warps = Math.min(8, Math.floor(SHARED / (4 * words * cols)))
  const instance = `${name}_${typeOf(step, logits)}`
  return [kernel(module, instance, [ceilDiv(rows, warps)], 32 * warps, [rows, cols, ...args], 4 * words * cols * warps)]
}

const at = (t: CudaTensor) => [t.at, t.stride] as const

export const cuda = [
  runs(routeOp, {
    launch(step) {
      const [logits, bias] = step.inputs
      const [weights, experts] = step.outputs
      const { k, groups, keptGroups } = step.attrs
      if (logits!.cols % groups !== 0 || keptGroups > groups || k > (logits!.cols / groups) * keptGroups)
        throw new Error(`${step.name}: ${k} of ${logits!.cols} experts, in ${keptGroups} of ${groups} groups`)
      return tokenWarps(step, 'route', logits!, 3, [...at(logits!), bias?.at ?? 0n, ...at(weights!), ...at(experts!), ...attrsOf(step)])
    },
  }),
  runs(routeBackwardOp, {
    launch(step) {
      const [dWeights, logits, experts] = step.inputs
      const [dLogits] = step.outputs
      typeOf(step, logits!, dLogits!)
      const args = [...at(dWeights!), ...at(logits!), ...at(experts!), ...at(dLogits!), ...attrsOf(step)]
      return tokenWarps(step, 'route_backward', logits!, 2, args)
    },
  }),
]
