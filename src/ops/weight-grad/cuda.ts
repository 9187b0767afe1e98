import { runs } from '../cuda-launch.ts'
import { narrowGradient } from '../product/narrow.ts'
import { weightGradOp } from './op.ts'

export const cuda = [
  runs(weightGradOp, {
    launch(step, _, card) {
      const [dY, x] = step.inputs
      const dW = step.outputs[0]!
      const { alpha } = step.attrs
      const narrow = narrowGradient(dY!, x!, alpha, dW, card)
      return [narrow ?? { kind: 'matmul', a: dY!, b: x!, transA: true, transB: false, alpha, c: dW, bias: null, y: dW }]
    },
  }),
]
