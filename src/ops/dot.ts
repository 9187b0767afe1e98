/** The sum that definitions of products are made of. */

/**
 * sum + x · w over n elements from `atX` and `atW`, w's `step` apart, one after the other.
 * A function of its own: within loops over lists of tensors it is many times slower.
 */
export function plusDot(sum: number, x: Float64Array, atX: number, w: Float64Array, atW: number, step: number, n: number): number {
  for (let k = 0; k < n; k++) sum += x[atX + k]! * w[atW + k * step]!
  return sum
}
