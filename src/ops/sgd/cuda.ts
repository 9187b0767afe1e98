import { attrsOf, type CudaStep, ceilDiv, kernel, runs, source } from '../cuda-launch.ts'
import { sgdMomentumOp, sgdOp } from './op.ts'

const from = source(import.meta.url)

function launch(step: CudaStep<typeof sgdOp.attrs>, name: string) {
  const { cols } = step.inputs[0]!
  return [kernel(from, name, [Math.min(ceilDiv(cols, 256), 8192)], 256, [cols, ...step.inputs.map((t) => t!.at), ...attrsOf(step)])]
}

export const cuda = [
  runs(sgdOp, { launch: (step) => launch(step, 'sgd') }),
  runs(sgdMomentumOp, { launch: (step) => launch(step, 'sgd_momentum') }),
]
