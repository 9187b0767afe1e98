/** What merging computes natively: the bits of its definition, whatever the sizes, the number of rows and where in a larger tensor they lie. */
import { expect, it } from 'vitest'
import { addLowRank } from '../../src/adapters/low-rank.ts'
import { nativeAddLowRank } from '../../src/devices/cpu/low-rank.ts'

const numbers = (n: number, seed: number) =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898 + seed) * 2 ** ((i + seed) % 9))

const bytes = (x: Float32Array) => Buffer.from(x.buffer, x.byteOffset, x.byteLength)

it.each([
  [1, 1, 1],
  [3, 7, 2],
  [5, 33, 4],
  [8, 64, 8],
  [517, 301, 16], // more than one thread's part
  [6, 40, 130],
  [4, 16, 0],
])('%i × %i, rank %i', (rows, cols, rank) => {
  const [w, b, a] = [numbers(rows * cols, 1), numbers(rows * rank, 2), numbers(rank * cols, 3)]
  for (const scale of [2, 0.3, -1 / 3]) {
    const wanted = addLowRank(w.slice(), b, a, scale, cols)
    expect(Buffer.compare(bytes(nativeAddLowRank(w.slice(), b, a, scale, cols)), bytes(wanted))).toBe(0)
    // views into larger tensors, as experts' parts are
    const large = new Float32Array(w.length + 10)
    large.set(w, 5)
    const within = (x: Float32Array) => {
      const whole = new Float32Array(x.length + 3)
      whole.set(x, 3)
      return whole.subarray(3)
    }
    nativeAddLowRank(large.subarray(5, 5 + w.length), within(b), within(a), scale, cols)
    expect(Buffer.compare(bytes(large.subarray(5, 5 + w.length)), bytes(wanted))).toBe(0)
    expect([...large.subarray(0, 5), ...large.subarray(-5)]).toEqual(new Array(10).fill(0))
  }
})
