/** The low-rank part written into a weight: what merging an adapter is. */

/** w (N, K) + scale · b (N, r) · a (r, K), summed in f64, into w; returns w */
export type AddLowRank = (w: Float32Array, b: Float32Array, a: Float32Array, scale: number, cols: number) => Float32Array

/** Its definition, of which the CPU library computes the same bits on every core. */
export const addLowRank: AddLowRank = (w, b, a, scale, cols) => {
  const rows = w.length / cols
  const r = a.length / cols
  const delta = new Float64Array(cols)
  for (let n = 0; n < rows; n++) {
    delta.fill(0)
    for (let i = 0; i < r; i++) {
      const factor = b[n * r + i]! * scale
      const row = i * cols
      for (let k = 0; k < cols; k++) delta[k]! += factor * a[row + k]!
    }
    const at = n * cols
    for (let k = 0; k < cols; k++) w[at + k]! += delta[k]!
  }
  return w
}

/** x (rows, cols) -> (cols, rows) */
export const transpose = (x: Float32Array, rows: number, cols: number): Float32Array => transposed(x, rows, 0, cols)

/** columns [from, from + count) of x (rows, ·) -> (count, rows) */
export function transposed(x: Float32Array, rows: number, from: number, count: number): Float32Array {
  const cols = x.length / rows
  const t = new Float32Array(count * rows)
  for (let i = 0; i < rows; i++) for (let j = 0; j < count; j++) t[j * rows + i] = x[i * cols + from + j]!
  return t
}
