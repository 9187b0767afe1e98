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

/**
 * sums[i, j] += Σ_k x[i, k] · w[starts[j] + k], over n elements and all rows of x. Two rows at once beside four of w, which are read from memory once
 * for all rows of x: one row after the other they would come from there again and again.
 */
export function plusProducts(
  sums: Float64Array,
  rows: number,
  x: Float64Array,
  w: Float64Array,
  starts: readonly number[],
  n: number,
): void {
  const cols = starts.length
  let j = 0
  for (; j + 4 <= cols; j += 4) {
    const [w0, w1, w2, w3] = [starts[j]!, starts[j + 1]!, starts[j + 2]!, starts[j + 3]!]
    let i = 0
    for (; i + 2 <= rows; i += 2) {
      const [a, b, atA, atB] = [i * cols + j, (i + 1) * cols + j, i * n, (i + 1) * n]
      let [a0, a1, a2, a3] = [sums[a]!, sums[a + 1]!, sums[a + 2]!, sums[a + 3]!]
      let [b0, b1, b2, b3] = [sums[b]!, sums[b + 1]!, sums[b + 2]!, sums[b + 3]!]
      for (let k = 0; k < n; k++) {
        const xa = x[atA + k]!
        const xb = x[atB + k]!
        const v0 = w[w0 + k]!
        const v1 = w[w1 + k]!
        const v2 = w[w2 + k]!
        const v3 = w[w3 + k]!
        a0 += xa * v0
        a1 += xa * v1
        a2 += xa * v2
        a3 += xa * v3
        b0 += xb * v0
        b1 += xb * v1
        b2 += xb * v2
        b3 += xb * v3
      }
      sums[a] = a0
      sums[a + 1] = a1
      sums[a + 2] = a2
      sums[a + 3] = a3
      sums[b] = b0
      sums[b + 1] = b1
      sums[b + 2] = b2
      sums[b + 3] = b3
    }
    if (i < rows) plusDots(sums.subarray(i * cols + j, i * cols + j + 4), x, i * n, w, [w0, w1, w2, w3], n)
  }
  if (j < cols) for (let i = 0; i < rows; i++) plusDots(sums.subarray(i * cols + j, (i + 1) * cols), x, i * n, w, starts.slice(j), n)
}

/** where each of n rows begins: every `apart` elements from `first` */
export function rowStarts(n: number, apart: number, first = 0): number[] {
  const starts: number[] = []
  for (let j = 0; j < n; j++) starts.push(first + j * apart)
  return starts
}
