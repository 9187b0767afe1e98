/** The Mersenne Twister (Matsumoto and Nishimura, 1998), 32 bits a draw: the generator behind `torch.Generator` on the CPU. */

const N = 624
const M = 397

export class Mt19937 {
  readonly #state = new Uint32Array(N)
  #next = N

  /** As torch's `manual_seed`: the low 32 bits count. */
  constructor(seed: number) {
    const state = this.#state
    state[0] = seed % 2 ** 32
    for (let i = 1; i < N; i++) {
      const previous = state[i - 1]!
      state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i
    }
  }

  /** uniform in [0, 2³²) */
  next(): number {
    if (this.#next === N) this.#twist()
    let y = this.#state[this.#next++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }

  #twist(): void {
    const state = this.#state
    for (let i = 0; i < N; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % N]! & 0x7fffffff)
      state[i] = state[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    this.#next = 0
  }
}

/** `torch.randperm(n)` on the CPU with a generator of this seed: Fisher–Yates from the front, remainders of 32-bit draws. */
export function randomPermutation(n: number, seed: number): Int32Array {
  const random = new Mt19937(seed)
  const order = Int32Array.from({ length: n }, (_, i) => i)
  for (let i = 0; i < n - 1; i++) {
    const j = i + (random.next() % (n - i))
    const held = order[i]!
    order[i] = order[j]!
    order[j] = held
  }
  return order
}
