/** Random numbers that are a function of (seed, name, count): the same on every machine and whatever else is drawn. */
import { hash32, mix32 } from '../ops/dropout/op.ts'

export class SeededRandom {
  readonly #key: number
  #count = 0

  constructor(seed: number, name: string) {
    this.#key = mix32(mix32(seed + 0x9e3779b9) ^ hash32(name))
  }

  /** 32 random bits */
  bits(): number {
    return mix32(mix32(this.#key + Math.imul(this.#count++, 0x9e3779b9)) ^ this.#key)
  }

  /** in [0, 1), 32 bits fine */
  uniform(): number {
    return this.bits() / 2 ** 32
  }

  /** standard normal (Box & Muller 1958) */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    return radius * Math.cos(2 * Math.PI * this.uniform())
  }
}
