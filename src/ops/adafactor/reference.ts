/** The definition of `adafactor`. */
import { defines } from '../op.ts'
import { adafactorOp } from './op.ts'

const EPS = 1e-30

export const references = [
  defines(adafactorOp, ([p, g, state, norm, stepFloats], [pNew, gNew, stateNew], { matrices, rows, weightDecay, rate }) => {
    if (!Number.isFinite(norm!.data[0]!)) return
    const [lr0, maxNorm, step] = stepFloats!.data
    const lr = lr0! * rate
    const clip = maxNorm! > 0 ? Math.min(1, maxNorm! / (norm!.data[0]! + 1e-6)) : 1
    const n = p!.data.length
    const gradient = g!.data.map((x) => x * clip)
    const beta = 1 - step! ** -0.8
    const old = state!.data
    const kept = stateNew!.data
    const update = new Float64Array(n)
    if (rows === 0) {
      for (let i = 0; i < n; i++) {
        kept[i] = beta * old[i]! + (1 - beta) * (gradient[i]! ** 2 + EPS)
        update[i] = gradient[i]! / Math.sqrt(kept[i]!)
      }
    } else {
      const cols = n / (matrices * rows)
      const R = (m: number, i: number) => m * rows + i
      const C = (m: number, j: number) => matrices * rows + m * cols + j
      for (let k = 0; k < old.length; k++) kept[k] = beta * old[k]!
      for (let m = 0; m < matrices; m++) {
        const at = (i: number, j: number) => (m * rows + i) * cols + j
        let mean = 0
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < cols; j++) {
            const square = gradient[at(i, j)]! ** 2 + EPS
            kept[R(m, i)]! += ((1 - beta) * square) / cols
            kept[C(m, j)]! += ((1 - beta) * square) / rows
          }
        for (let i = 0; i < rows; i++) mean += kept[R(m, i)]! / rows
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < cols; j++) update[at(i, j)] = gradient[at(i, j)]! / Math.sqrt((kept[R(m, i)]! / mean) * kept[C(m, j)]!)
      }
    }
    let squares = 0
    for (const u of update) squares += u * u
    const rms = Math.max(1, Math.sqrt(squares / n))
    for (let i = 0; i < n; i++) {
      pNew!.data[i] = p!.data[i]! * (1 - lr * weightDecay) - (lr * update[i]!) / rms
      gNew!.data[i] = 0
    }
  }),
]
