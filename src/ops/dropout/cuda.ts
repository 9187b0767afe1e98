import { attrsOf, elementwise, f32, runs, source } from '../cuda-launch.ts'
import { dropoutOp, slotDropoutOp } from './op.ts'

const from = source(import.meta.url)

/** what is at least this is kept, and by what it is multiplied */
const kept = (p: number) => [Math.ceil(p * 2 ** 32), f32(1 / (1 - p))] as const

export const cuda = [
  runs(dropoutOp, {
    launch(step) {
      const [x, row, depth, stepInts] = step.inputs
      const args = [row!.at, depth!.at, stepInts!.at, ...kept(step.attrs.p), ...attrsOf(step)]
      return [elementwise(from, step, 'dropout', [x!, step.outputs[0]!], args)]
    },
  }),
  runs(slotDropoutOp, {
    launch(step) {
      const [x, order, experts, row, depth, stepInts] = step.inputs
      const slots = [order!.at, order!.stride, experts!.at, experts!.cols, experts!.stride]
      const args = [...slots, row!.at, depth!.at, stepInts!.at, ...kept(step.attrs.p), ...attrsOf(step)]
      return [elementwise(from, step, 'slot_dropout', [x!, step.outputs[0]!], args)]
    },
  }),
]
