/**
 * numpy's default_rng(seed).permutation(n), in which `datasets` shuffles and splits rows: a SeedSequence (O'Neill's seed_seq_fe128) seeds
 * PCG64 (O'Neill 2014, XSL-RR 128/64), whose 32-bit halves place the elements by Fisher–Yates from the back.
 */

const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n
const MASK64 = (1n << 64n) - 1n
const MASK128 = (1n << 128n) - 1n

/** @param seed a whole number from 0 */
export function numpyPermutation(n: number, seed: number): Int32Array {
  const random = new Pcg64(seed)
  const order = Int32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = random.upTo(i)
    const held = order[i]!
    order[i] = order[j]!
    order[j] = held
  }
  return order
}

class Pcg64 {
  #state: bigint
  readonly #increment: bigint
  /** the upper half of a draw whose lower half was given out */
  #half: number | undefined

  constructor(seed: number) {
    const [a, b, c, d] = seedWords(seed) as [bigint, bigint, bigint, bigint]
    this.#increment = ((((c << 64n) | d) << 1n) | 1n) & MASK128
    this.#state = (this.#increment + ((a << 64n) | b)) & MASK128
    this.#step()
  }

  /** uniform in [0, max], by rejection */
  upTo(max: number): number {
    const mask = 2 ** (32 - Math.clz32(max)) - 1
    for (;;) {
      const value = (this.#next32() & mask) >>> 0
      if (value <= max) return value
    }
  }

  #next32(): number {
    const kept = this.#half
    this.#half = undefined
    if (kept !== undefined) return kept
    this.#step()
    const x = (this.#state >> 64n) ^ (this.#state & MASK64)
    const turn = this.#state >> 122n
    const value = ((x >> turn) | (x << ((64n - turn) & 63n))) & MASK64
    this.#half = Number(value >> 32n)
    return Number(value & 0xffffffffn)
  }

  #step(): void {
    this.#state = (this.#state * MULTIPLIER + this.#increment) & MASK128
  }
}

/** SeedSequence(seed).generate_state(4, uint64) */
function seedWords(seed: number): bigint[] {
  const entropy = [seed >>> 0, ...(seed > 0xffffffff ? [Math.floor(seed / 2 ** 32)] : [])]
  const pool = [0, 0, 0, 0]
  let constant = 0x43b0d7e5
  const hashed = (value: number) => {
    let x = value ^ constant
    constant = Math.imul(constant, 0x931e8875)
    x = Math.imul(x, constant)
    return (x ^ (x >>> 16)) >>> 0
  }
  const mixed = (x: number, y: number) => {
    const z = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)
    return (z ^ (z >>> 16)) >>> 0
  }
  for (let i = 0; i < 4; i++) pool[i] = hashed(entropy[i] ?? 0)
  for (let from = 0; from < 4; from++) for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mixed(pool[to]!, hashed(pool[from]!))

  constant = 0x8b51f9dd
  const words = Array.from({ length: 8 }, (_, i) => {
    let x = pool[i % 4]! ^ constant
    constant = Math.imul(constant, 0x58f38ded)
    x = Math.imul(x, constant)
    return BigInt((x ^ (x >>> 16)) >>> 0)
  })
  return [0, 2, 4, 6].map((i) => words[i]! | (words[i + 1]! << 32n))
}
