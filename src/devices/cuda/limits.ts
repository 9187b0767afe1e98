/** What the card reaches warm: a large product through cuBLASLt in each type, and a copy on the card. */
import type { CudaTensor, MatmulLaunch } from '../../ops/cuda-launch.ts'
import type { Measured } from '../limits.ts'
import type { Card } from './card.ts'
import type { Matmuls } from './matmul.ts'

/** seconds of one call, the least of several after a warm-up; each batch is timed by events */
export function time(card: Card, repeats: number, calls: number, run: () => void): number {
  const { driver, stream } = card
  const [start, end] = [driver.result('eventCreate', 0), driver.result('eventCreate', 0)]
  const ms = new Float32Array(1)
  let best = Infinity
  run()
  for (let r = 0; r < repeats; r++) {
    driver.call('eventRecord', start, stream, 0)
    for (let i = 0; i < calls; i++) run()
    driver.call('eventRecord', end, stream, 0)
    card.synchronize()
    driver.call('eventElapsed', ms, start, end)
    best = Math.min(best, ms[0]! / 1e3 / calls)
  }
  driver.call('eventDestroy', start)
  driver.call('eventDestroy', end)
  return best
}

/** of random numbers, then again from the first: an odd number, so that no two rows of a product begin alike */
const PERIOD = 65537

/** numbers in [−1, 1) as bit patterns: products of zeros run faster than products of data */
function randomBits(bytes: number, bf16: boolean): Uint8Array {
  const words = bf16 ? new Uint16Array(bytes / 2) : new Float32Array(bytes / 4)
  const filled = Math.min(PERIOD, words.length)
  let state = 1
  const float = new Float32Array(1)
  const bits = new Uint32Array(float.buffer)
  for (let i = 0; i < filled; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    float[0] = state / 2 ** 31 - 1
    words[i] = bf16 ? bits[0]! >>> 16 : float[0]
  }
  for (let at = filled; at < words.length; at *= 2) words.copyWithin(at, 0, Math.min(at, words.length - at))
  return new Uint8Array(words.buffer)
}

/** FLOP/s of an n × n × n product */
export function probeProduct(card: Card, matmuls: Matmuls, dtype: 'f32' | 'bf16', n: number): number {
  const bytes = n * n * (dtype === 'bf16' ? 2 : 4)
  const memory = card.alloc(3 * bytes, 'the probe of a product')
  try {
    const data = randomBits(bytes, dtype === 'bf16')
    for (const at of [memory, memory + BigInt(bytes)])
      card.upload(at, bytes, (piece, from) => piece.set(data.subarray(from, from + piece.length)))
    const matrix = (i: number): CudaTensor => ({ at: memory + BigInt(i * bytes), rows: n, cols: n, stride: n, dtype, quant: null })
    const launch: MatmulLaunch = {
      kind: 'matmul',
      a: matrix(0),
      b: matrix(1),
      transA: false,
      transB: true,
      alpha: 1,
      c: null,
      bias: null,
      y: matrix(2),
    }
    return (2 * n ** 3) / time(card, 5, dtype === 'bf16' ? 8 : 2, () => matmuls.run(launch))
  } finally {
    card.free(memory)
  }
}

/** bytes/s of a copy on the card, read and write counted */
export function probeCopy(card: Card, bytes: number): number {
  const memory = card.alloc(2 * bytes, 'the probe of a copy')
  try {
    return (2 * bytes) / time(card, 5, 4, () => card.driver.call('copyOnDevice', memory + BigInt(bytes), memory, bytes, card.stream))
  } finally {
    card.free(memory)
  }
}

/** bytes/s between pinned host memory and the card, the slower way */
export function probeHost(card: Card, bytes: number): number {
  const memory = card.alloc(bytes, 'the probe of a copy to the host')
  let host = 0n
  try {
    host = card.allocHost(bytes, 'the probe of a copy to the host')
    const seconds = (to: bigint, from: bigint) => time(card, 3, 2, () => card.driver.call('copy', to, from, bytes, card.stream))
    return bytes / Math.max(seconds(host, memory), seconds(memory, host))
  } finally {
    card.freeHost(host)
    card.free(memory)
  }
}

/** What probes take: a product of n × n matrices, a copy of so many bytes, several times what any card's cache holds. */
export interface ProbeSizes {
  n: number
  copy: number
  host: number
}
const WHOLE: ProbeSizes = { n: 4096, copy: 256 << 20, host: 64 << 20 }
/** the smallest are a sixty-fourth of that */
const LEAST = 64

/** The largest that half of what is free holds: a run may be left just what it needs, and what measures the card isn't to refuse it. */
export function probeSizes(free: number): ProbeSizes {
  let cut = 1
  while (cut < LEAST && (2 * WHOLE.copy) / cut > free / 2) cut *= 4
  return { n: WHOLE.n / Math.sqrt(cut), copy: WHOLE.copy / cut, host: WHOLE.host / cut }
}

/** Takes 0.5 GiB of the card while it lasts, less where less is free. */
export function measure(card: Card, matmuls: Matmuls): Measured {
  const { n, copy, host } = probeSizes(card.memory().free)
  return {
    f32: probeProduct(card, matmuls, 'f32', n),
    bf16: probeProduct(card, matmuls, 'bf16', n),
    copy: probeCopy(card, copy),
    host: probeHost(card, host),
    ...(n < WHOLE.n && { rough: true as const }),
  }
}
