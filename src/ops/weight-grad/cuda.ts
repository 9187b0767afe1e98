import { runs } from '../cuda-launch.ts'
import { weightGradOp } from './op.ts'

export const cuda = [
  runs(weightGradOp, {
    launch(step) {
      const [dY, x] = step.inputs
      const dW = step.outputs[0]!
      return [{ kind: 'matmul', a: dY!, b: x!, transA: true, transB: false, alpha: step.attrs.alpha, c: dW, bias: null, y: dW }]
    },
  }),
]
