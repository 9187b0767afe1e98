import { attrsOf, ceilDiv, f32, kernel, runs, source } from '../cuda-launch.ts'
import { lionOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(lionOp, {
    launch(step) {
      const { cols } = step.inputs[0]!
      const { beta1, beta2 } = step.attrs
      const args = [cols, ...step.inputs.map((t) => t!.at), f32(1 - beta1), f32(1 - beta2), ...attrsOf(step)]
      return [kernel(from, 'lion', [Math.min(ceilDiv(cols, 256), 8192)], 256, args)]
    },
  }),
]
