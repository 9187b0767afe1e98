import { attrsOf, ceilDiv, kernel, runs, source } from '../cuda-launch.ts'
import { rmsStepOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(rmsStepOp, {
    launch(step) {
      const { cols } = step.inputs[0]!
      const args = [cols, ...step.inputs.map((t) => t!.at), ...attrsOf(step)]
      return [kernel(from, 'rms_step', [Math.min(ceilDiv(cols, 256), 8192)], 256, args)]
    },
  }),
]
