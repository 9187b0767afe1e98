/** The definition of `sgd` and of `sgd_momentum` (dampening 0, so the first step's m is g). */
import { type Attrs, defines, type Matrix } from '../op.ts'
import { sgdMomentumOp, sgdOp } from './op.ts'

type SgdAttrs = Attrs<typeof sgdOp.attrs>

function update(p: Matrix, g: Matrix, norm: Matrix, stepFloats: Matrix, a: SgdAttrs, moved: (gradient: number, i: number) => number) {
  const maxNorm = stepFloats.data[1]!
  const lr = stepFloats.data[0]! * a.rate
  const clip = maxNorm > 0 ? Math.min(1, maxNorm / (norm.data[0]! + 1e-6)) : 1
  return Array.from(p.data, (value, i) => value - lr * moved(g.data[i]! * clip + a.weightDecay * value, i))
}

export const references = [
  defines(sgdOp, ([p, g, norm, stepFloats], [pNew, gNew], attrs) => {
    if (!Number.isFinite(norm!.data[0]!)) return
    pNew!.data.set(update(p!, g!, norm!, stepFloats!, attrs, (gradient) => gradient))
    gNew!.data.fill(0)
  }),
  defines(sgdMomentumOp, ([p, g, m, norm, stepFloats], [pNew, gNew, mNew], attrs) => {
    if (!Number.isFinite(norm!.data[0]!)) return
    const moved = (gradient: number, i: number) => {
      const moment = attrs.momentum * m!.data[i]! + gradient
      mNew!.data[i] = moment
      return attrs.nesterov ? gradient + attrs.momentum * moment : moment
    }
    pNew!.data.set(update(p!, g!, norm!, stepFloats!, attrs, moved))
    gNew!.data.fill(0)
  }),
]
