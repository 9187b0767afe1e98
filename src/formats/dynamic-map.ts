/**
 * The 8-bit dynamic type (Dettmers et al., 8-bit Optimizers via Block-wise Quantization, 2022): 256 values in [-1, 1] or [0, 1],
 * a power of ten times a fraction, with more fraction bits the larger the power. bitsandbytes' tables, bit for bit.
 */

const f = Math.fround

/** torch.linspace(0.1, 1, n) in f32: each half counted from its own end, with a fused multiply-add. */
function tenthToOne(n: number): Float32Array {
  const step = f(f(1 - f(0.1)) / (n - 1))
  return Float32Array.from({ length: n }, (_, i) => (i < n / 2 ? f(f(0.1) + step * i) : f(1 - step * (n - 1 - i))))
}

/** 256 values, ascending. `signed` serves first moments and absmax values, unsigned second moments. */
export function dynamicMap(signed: boolean): Float32Array {
  const values = [0, 1]
  for (let i = 0; i < 7; i++) {
    const bounds = tenthToOne(2 ** (signed ? i : i + 1) + 1)
    const scale = f(10 ** (i - 6))
    for (let j = 0; j + 1 < bounds.length; j++) {
      const mean = f(f(bounds[j]! + bounds[j + 1]!) / 2)
      values.push(f(scale * mean))
      if (signed) values.push(-f(scale * mean))
    }
  }
  return Float32Array.from(values).sort()
}

/**
 * Blockwise 8-bit quantisation: each value over its block's absmax, to the nearest of `code` (256 values, ascending; the lower one
 * where both are as near). Returns a code a value and an absmax a block. bitsandbytes' CPU kernel looks x up in 65,536 steps
 * instead, so that one code in some hundreds lies one step off the nearest.
 */
export function quantise8Bit(values: Float32Array, code: Float32Array, blocksize: number): { codes: Uint8Array; absmax: Float32Array } {
  const codes = new Uint8Array(values.length)
  const absmax = new Float32Array(Math.ceil(values.length / blocksize))
  const middles = middlesOf(code)
  for (let block = 0; block < absmax.length; block++) {
    const from = block * blocksize
    const to = Math.min(from + blocksize, values.length)
    let max = 0
    for (let i = from; i < to; i++) max = Math.max(max, Math.abs(values[i]!))
    absmax[block] = max
    const scale = max === 0 ? 0 : f(1 / max)
    for (let i = from; i < to; i++) codes[i] = below(middles, f(values[i]! * scale))
  }
  return { codes, absmax }
}

/** half way between neighbours */
export function middlesOf(code: Float32Array): Float32Array {
  return Float32Array.from({ length: code.length - 1 }, (_, i) => f(code[i]! + code[i + 1]!) / 2)
}

/** How many of the ascending `bounds` are less than x. */
function below(bounds: Float32Array, x: number): number {
  let low = 0
  let high = bounds.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (bounds[middle]! < x) low = middle + 1
    else high = middle
  }
  return low
}
