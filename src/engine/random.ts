/** Random numbers that are a function of (seed, name, count): the same on every machine and whatever else is drawn. */
import { hash32, mix32 } from '../ops/dropout/op.ts'

const GOLDEN = 0x9e3779b9

export class SeededRandom {
  readonly #key: number
  #count = 0

  constructor(seed: number, name: string) {
    this.#key = mix32(mix32(seed + GOLDEN) ^ hash32(name))
  }

  /** 32 random bits */
  bits(): number {
    return mix32(mix32(this.#key + Math.imul(this.#count++, GOLDEN)) ^ this.#key)
  }

  /** in [0, 1), 32 bits fine */
  uniform(): number {
    return this.bits() / 2 ** 32
  }

  /** the next so many of `uniform`, from −bound to bound, in f32: what a tensor begins with, a call for millions of them */
  fillUniform(values: Float32Array, bound: number): Float32Array {
    const key = this.#key
    let count = this.#count
    for (let i = 0; i < values.length; i++) values[i] = ((2 * mix32(mix32(key + Math.imul(count++, GOLDEN)) ^ key)) / 2 ** 32 - 1) * bound
    this.#count = count
    return values
  }

  /** standard normal (Box & Muller 1958) */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    return radius * Math.cos(2 * Math.PI * this.uniform())
  }
}
