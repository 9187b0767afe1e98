/** The definition of `rms_step`. */
import { defines } from '../op.ts'
import { rmsStepOp } from './op.ts'

export const references = [
  defines(rmsStepOp, ([p, g, v, norm, stepFloats], [pNew, gNew, vNew], { kept, added, eps, weightDecay, rate }) => {
    if (!Number.isFinite(norm!.data[0]!)) return
    const maxNorm = stepFloats!.data[1]!
    const lr = stepFloats!.data[0]! * rate
    const clip = maxNorm > 0 ? Math.min(1, maxNorm / (norm!.data[0]! + 1e-6)) : 1
    for (let i = 0; i < p!.data.length; i++) {
      const gradient = g!.data[i]! * clip + weightDecay * p!.data[i]!
      const square = kept * v!.data[i]! + added * gradient * gradient
      pNew!.data[i] = p!.data[i]! - (lr * gradient) / (Math.sqrt(square) + eps)
      vNew!.data[i] = square
      gNew!.data[i] = 0
    }
  }),
]
