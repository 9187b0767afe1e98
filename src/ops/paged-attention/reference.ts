/** Paged attention as its definition reads: every new token against every key of its text, in f64. */
import { defines } from '../op.ts'
import { pagedAttentionOp } from './op.ts'

export const references = [
  defines(pagedAttentionOp, ([q, k, v, position, pages, sinks], [o, lse], attrs) => {
    const { heads, kvHeads, headDim, valueDim, scale, page, window, softCap } = attrs
    o!.data.fill(0)
    for (let t = 0; t < q!.rows; t++) {
      const last = position!.data[t]!
      const first = window > 0 ? Math.max(0, last - window + 1) : 0
      const rows = Array.from({ length: Math.max(0, last + 1 - first) }, (_, n) => {
        const key = first + n
        return pages!.data[t * pages!.cols + Math.floor(key / page)]! * page + (key % page)
      })
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h / (heads / kvHeads))
        const scores = rows.map((row) => {
          let product = 0
          for (let c = 0; c < headDim; c++) product += q!.data[t * q!.cols + h * headDim + c]! * k!.data[row * k!.cols + g * headDim + c]!
          return softCap ? softCap * Math.tanh((scale * product) / softCap) : scale * product
        })
        const all = sinks ? [...scores, sinks.data[h]!] : scores
        const top = all.reduce((a, b) => Math.max(a, b), -Infinity)
        const total = all.reduce((sum, s) => sum + Math.exp(s - top), 0)
        lse!.data[t * heads + h] = all.length ? top + Math.log(total) : -Infinity
        for (const [n, row] of rows.entries()) {
          const weight = Math.exp(scores[n]! - top) / total
          for (let c = 0; c < valueDim; c++) o!.data[t * o!.cols + h * valueDim + c]! += weight * v!.data[row * v!.cols + g * valueDim + c]!
        }
      }
    }
  }),
]
