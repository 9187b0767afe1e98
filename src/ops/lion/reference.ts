/** The definition of `lion`: where the interpolated moment is exactly 0 nothing moves. */
import { defines } from '../op.ts'
import { lionOp } from './op.ts'

export const references = [
  defines(lionOp, ([p, g, m, norm, stepFloats], [pNew, gNew, mNew], { beta1, beta2, weightDecay, rate }) => {
    if (!Number.isFinite(norm!.data[0]!)) return
    const maxNorm = stepFloats!.data[1]!
    const lr = stepFloats!.data[0]! * rate
    const clip = maxNorm > 0 ? Math.min(1, maxNorm / (norm!.data[0]! + 1e-6)) : 1
    for (let i = 0; i < p!.data.length; i++) {
      const gradient = g!.data[i]! * clip
      const moment = m!.data[i]!
      pNew!.data[i] = p!.data[i]! * (1 - lr * weightDecay) - lr * Math.sign(beta1 * moment + (1 - beta1) * gradient)
      mNew!.data[i] = beta2 * moment + (1 - beta2) * gradient
      gNew!.data[i] = 0
    }
  }),
]
