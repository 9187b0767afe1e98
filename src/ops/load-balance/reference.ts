/** The definition of `expert_load`, `balance_loss` and their backward. */
import { defines, type Matrix } from '../op.ts'
import { balanceLossBackwardOp, balanceLossOp, expertLoadBackwardOp, expertLoadOp } from './op.ts'

/** softmax of row t */
function softmax({ data, cols }: Matrix, t: number): Float64Array {
  const row = data.subarray(t * cols, (t + 1) * cols)
  const most = Math.max(...row)
  const powers = row.map((l) => Math.exp(l - most))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers.map((p) => p / total)
}

/** F, P (G, E) over the layers, and n (G) */
function pooled(loads: readonly (Matrix | null)[], k: number) {
  const { rows, cols: E } = loads[0]!
  const all = new Float64Array(rows * E)
  for (const load of loads) for (let i = 0; i < all.length; i++) all[i]! += load!.data[i]!
  const G = rows / 2
  const n = Array.from({ length: G }, (_, g) => all.subarray(g * E, (g + 1) * E).reduce((sum, x) => sum + x, 0) / k)
  return { G, E, F: all.subarray(0, G * E), P: all.subarray(G * E), n }
}

export const references = [
  defines(expertLoadOp, ([logits, experts, rows], [load]) => {
    const [G, E, k] = [rows!.cols, logits!.cols, experts!.cols]
    load!.data.fill(0)
    for (let t = 0; t < logits!.rows; t++) {
      const p = softmax(logits!, t)
      for (let g = 0; g < G; g++) {
        const count = rows!.data[t * G + g]!
        for (let j = 0; j < k; j++) load!.data[g * E + experts!.data[t * k + j]!]! += count
        for (let e = 0; e < E; e++) load!.data[(G + g) * E + e]! += count * p[e]!
      }
    }
  }),
  defines(expertLoadBackwardOp, ([dLoad, logits, rows], [dLogits]) => {
    const [G, E] = [rows!.cols, logits!.cols]
    for (let t = 0; t < logits!.rows; t++) {
      const p = softmax(logits!, t)
      const v = p.map((_, e) => {
        let sum = 0
        for (let g = 0; g < G; g++) sum += rows!.data[t * G + g]! * dLoad!.data[(G + g) * E + e]!
        return sum
      })
      const mean = p.reduce((sum, x, e) => sum + x * v[e]!, 0)
      for (let e = 0; e < E; e++) dLogits!.data[t * E + e] = p[e]! * (v[e]! - mean)
    }
  }),
  defines(balanceLossOp, (loads, [loss, counts], { k }) => {
    const { G, E, F, P, n } = pooled(loads, k)
    counts!.data.fill(0)
    for (let g = 0; g < G; g++) {
      let sum = 0
      for (let e = 0; e < E; e++) {
        sum += F[g * E + e]! * P[g * E + e]!
        for (const [l, load] of loads.entries()) counts!.data[l * E + e]! += load!.data[g * E + e]!
      }
      loss!.data[g] = n[g] ? (E * sum) / n[g]! ** 2 : 0
    }
  }),
  defines(balanceLossBackwardOp, ([dLoss, ...loads], [dLoad], { k }) => {
    const { G, E, F, n } = pooled(loads, k)
    dLoad!.data.fill(0)
    for (let g = 0; g < G; g++)
      for (let e = 0; e < E; e++) dLoad!.data[(G + g) * E + e] = n[g] ? (dLoss!.data[g]! * E * F[g * E + e]!) / n[g]! ** 2 : 0
  }),
]
