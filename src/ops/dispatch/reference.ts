/** The definition of `dispatch`, `spread` and `combine`. */
import { defines } from '../op.ts'
import { combineOp, dispatchOp, spreadOp } from './op.ts'

export const references = [
  defines(dispatchOp, ([chosen], [offsets, order, places], { experts }) => {
    let row = 0
    for (let e = 0; e < experts; e++) {
      offsets!.data[e] = row
      chosen!.data.forEach((expert, slot) => {
        if (expert !== e) return
        order!.data[row] = slot
        places!.data[slot] = row++
      })
    }
    offsets!.data[experts] = row
  }),
  defines(spreadOp, ([x, order, places], [y]) => {
    const C = x!.cols
    order!.data.forEach((slot, s) => {
      const t = Math.floor(slot / places!.cols)
      y!.data.set(x!.data.subarray(t * C, (t + 1) * C), s * C)
    })
  }),
  defines(combineOp, ([rows, , places], [y]) => {
    const C = rows!.cols
    y!.data.fill(0)
    places!.data.forEach((s, slot) => {
      const t = Math.floor(slot / places!.cols)
      for (let c = 0; c < C; c++) y!.data[t * C + c]! += rows!.data[s * C + c]!
    })
  }),
]
