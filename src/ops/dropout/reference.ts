/** Dropout by its definition: one key a token, or a token's row for an expert, one hash a channel. */
import { defines, type Matrix } from '../op.ts'
import { channelBits, dropoutOp, slotDropoutOp, slotKey, tokenKey } from './op.ts'

export const references = [
  defines(dropoutOp, ([x, row, depth, stepInts], [y], { p, module }) => {
    const [seed, step] = stepInts!.data
    for (let t = 0; t < x!.rows; t++) drop(x!, y!, t, p, tokenKey(seed!, step!, row!.data[t]!, depth!.data[t]!, module))
  }),
  defines(slotDropoutOp, ([x, order, experts, row, depth, stepInts], [y], { p, module }) => {
    const [seed, step] = stepInts!.data
    for (let s = 0; s < x!.rows; s++) {
      const slot = order!.data[s]!
      const t = Math.floor(slot / experts!.cols)
      const key = tokenKey(seed!, step!, row!.data[t]!, depth!.data[t]!, module)
      drop(x!, y!, s, p, slotKey(key, experts!.data[slot]!))
    }
  }),
]

function drop(x: Matrix, y: Matrix, row: number, p: number, key: number): void {
  for (let c = 0; c < x.cols; c++) {
    const kept = channelBits(key, c) >= p * 2 ** 32
    y.data[row * x.cols + c] = kept ? x.data[row * x.cols + c]! / (1 - p) : 0
  }
}
