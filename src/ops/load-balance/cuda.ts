import { SaqrError } from '../../error.ts'
import { chunksOf } from '../column-sum/cuda.ts'
import { type CudaStep, type CudaTensor, ceilDiv, type KernelArg, kernel, runs, source, typeOf } from '../cuda-launch.ts'
import { tokenWarps } from '../route/cuda.ts'
import { balanceLossBackwardOp, balanceLossOp, expertLoadBackwardOp, expertLoadOp } from './op.ts'

const from = source(import.meta.url)

const MOST_EXPERTS = 4096
/** of a block's 48 kB of shared memory, what tokens' probabilities and choices take */
const SHARED = 40 << 10
/** layers whose loads one launch names (Loads in cuda.cu) */
const MOST_LAYERS = 128

const at = (t: CudaTensor) => [t.at, t.stride] as const

/** the struct Loads */
function loadArgs(step: CudaStep, loads: readonly CudaTensor[], k: number): KernelArg[] {
  if (loads.length > MOST_LAYERS)
    throw new SaqrError(
      'DEVICE_UNSUPPORTED',
      `${step.name}: ${step.op.name} on CUDA takes up to ${MOST_LAYERS} layers, not ${loads.length}.`,
    )
  const unused = MOST_LAYERS - loads.length
  return [
    ...loads.map((t) => t.at),
    ...Array<KernelArg>(unused).fill(0n),
    ...loads.map((t) => t.stride),
    ...Array<KernelArg>(unused).fill(0),
    loads.length,
    loads[0]!.rows / 2,
    loads[0]!.cols,
    k,
  ]
}

export const cuda = [
  runs(expertLoadOp, {
    scratch: ({ inputs: [logits, , rows] }) => chunksOf(logits!.rows).count * 2 * rows!.cols * logits!.cols * 4,
    launch(step, scratch) {
      const [logits, chosen, rows] = step.inputs
      const [load] = step.outputs
      const [E, G] = [logits!.cols, rows!.cols]
      if (E > MOST_EXPERTS)
        throw new SaqrError('DEVICE_UNSUPPORTED', `${step.name}: expert_load on CUDA takes up to ${MOST_EXPERTS} experts, not ${E}.`)
      const { count, size } = chunksOf(logits!.rows)
      const high = Math.min(size, Math.floor(SHARED / (8 * E)))
      const args = [logits!.rows, E, ...at(logits!), ...at(chosen!), chosen!.cols, ...at(rows!), G, size, high, scratch]
      return [
        kernel(from, `expert_load_${typeOf(step, logits!)}`, [count], 256, args, 8 * high * E),
        kernel(from, 'expert_load_sum', [ceilDiv(2 * G * E, 256)], 256, [count, 2 * G * E, E, scratch, ...at(load!)]),
      ]
    },
  }),
  runs(expertLoadBackwardOp, {
    launch(step) {
      const [dLoad, logits, rows] = step.inputs
      const [dLogits] = step.outputs
      typeOf(step, logits!, dLogits!)
      const args = [...at(dLoad!), ...at(logits!), ...at(rows!), rows!.cols, ...at(dLogits!)]
      return tokenWarps(step, 'expert_load_backward', logits!, 2, args, from)
    },
  }),
  runs(balanceLossOp, {
    launch(step) {
      const loads = step.inputs.map((t) => t!)
      const [loss, counts] = step.outputs
      const grid = [loss!.cols + loads.length]
      return [kernel(from, 'balance_loss', grid, 256, [...loadArgs(step, loads, step.attrs.k), loss!.at, ...at(counts!)])]
    },
  }),
  runs(balanceLossBackwardOp, {
    launch(step) {
      const [dLoss, ...loads] = step.inputs.map((t) => t!)
      const [dLoad] = step.outputs
      return [kernel(from, 'balance_loss_backward', [dLoss!.cols], 256, [...loadArgs(step, loads, step.attrs.k), dLoss!.at, ...at(dLoad!)])]
    },
  }),
]
