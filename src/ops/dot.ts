/**
 * The sums that definitions of products are made of, each in the order of its terms. Four sums or terms at once: by itself each addition
 * would wait for the one before it, or for memory. Functions of their own: within loops over lists of tensors they are many times slower.
 */

/** sums[j] += Σ_k x[atX + k] · w[starts[j] + k], over n elements */
export function plusDots(sums: Float64Array, x: Float64Array, atX: number, w: Float64Array, starts: readonly number[], n: number): void {
  let j = 0
  for (; j + 4 <= starts.length; j += 4) {
    const [w0, w1, w2, w3] = [starts[j]!, starts[j + 1]!, starts[j + 2]!, starts[j + 3]!]
    let [s0, s1, s2, s3] = [sums[j]!, sums[j + 1]!, sums[j + 2]!, sums[j + 3]!]
    for (let k = 0; k < n; k++) {
      const xk = x[atX + k]!
      s0 += xk * w[w0 + k]!
      s1 += xk * w[w1 + k]!
      s2 += xk * w[w2 + k]!
      s3 += xk * w[w3 + k]!
    }
    sums[j] = s0
    sums[j + 1] = s1
    sums[j + 2] = s2
    sums[j + 3] = s3
  }
  for (; j < starts.length; j++) for (let k = 0; k < n; k++) sums[j]! += x[atX + k]! * w[starts[j]! + k]!
}

/** sums[at + k] += Σ_j x[atX + j] · w[starts[j] + k], for n elements k */
export function plusScaled(
  sums: Float64Array,
  at: number,
  x: Float64Array,
  atX: number,
  w: Float64Array,
  starts: readonly number[],
  n: number,
): void {
  let j = 0
  for (; j + 4 <= starts.length; j += 4) {
    const [w0, w1, w2, w3] = [starts[j]!, starts[j + 1]!, starts[j + 2]!, starts[j + 3]!]
    const [x0, x1, x2, x3] = [x[atX + j]!, x[atX + j + 1]!, x[atX + j + 2]!, x[atX + j + 3]!]
    for (let k = 0; k < n; k++) sums[at + k] = sums[at + k]! + x0 * w[w0 + k]! + x1 * w[w1 + k]! + x2 * w[w2 + k]! + x3 * w[w3 + k]!
  }
  for (; j < starts.length; j++) for (let k = 0; k < n; k++) sums[at + k]! += x[atX + j]! * w[starts[j]! + k]!
}

/** where each of n rows begins: every `apart` elements from `first` */
export const rowStarts = (n: number, apart: number, first = 0): number[] => Array.from({ length: n }, (_, j) => first + j * apart)
