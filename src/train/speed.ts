/** Tokens a second and the share of the machine's limit, since the last event of a kind. */
import type { Device } from '../devices/device.ts'
import type { Speed } from '../track/events.ts'
import type { StepData } from './data.ts'

interface Mark {
  at: number
  rowTokens: number
  computedTokens: number
  flops: number
}

export class Speedometer {
  /** FLOP/s */
  readonly #limit: number
  #now: Mark = { at: performance.now(), rowTokens: 0, computedTokens: 0, flops: 0 }
  #step: Mark = this.#now
  #log: Mark = this.#now

  constructor(device: Device, dtype: 'f32' | 'bf16') {
    this.#limit = device.limits()[dtype]
    this.#now = { ...this.#now, at: performance.now() }
    this.#step = this.#log = this.#now
  }

  add(data: StepData, flops: number): void {
    this.#now = {
      at: performance.now(),
      rowTokens: this.#now.rowTokens + data.rowTokens,
      computedTokens: this.#now.computedTokens + data.computedTokens,
      flops: this.#now.flops + flops,
    }
  }

  /** work that is no training (an evaluation, a checkpoint) doesn't count: runs it with the clock stopped */
  async aside<R>(work: () => Promise<R>): Promise<R> {
    const began = performance.now()
    const result = await work()
    const away = performance.now() - began
    this.#step = { ...this.#step, at: this.#step.at + away }
    this.#log = { ...this.#log, at: this.#log.at + away }
    this.#now = { ...this.#now, at: this.#now.at + away }
    return result
  }

  /** of the last step */
  step(): Speed {
    const speed = this.#since(this.#step)
    this.#step = this.#now
    return speed
  }

  /** since the last log */
  log(): Speed {
    const speed = this.#since(this.#log)
    this.#log = this.#now
    return speed
  }

  #since(mark: Mark): Speed {
    const seconds = Math.max(1e-9, (this.#now.at - mark.at) / 1000)
    return {
      tokensPerSecond: (this.#now.rowTokens - mark.rowTokens) / seconds,
      computedTokensPerSecond: (this.#now.computedTokens - mark.computedTokens) / seconds,
      share: (this.#now.flops - mark.flops) / seconds / this.#limit,
    }
  }
}
