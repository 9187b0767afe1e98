/** Copies between card and host on their own stream, while a segment is captured: begun behind what stands before them, waited for where they must be done. */
import type { Card } from './card.ts'

/** CU_EVENT_DISABLE_TIMING */
const NO_TIMING = 2

export class Copies {
  readonly #card: Card
  readonly #events: bigint[] = []
  /** of copies that nothing has waited for */
  #pending: { until: number; done: bigint }[] = []

  constructor(card: Card) {
    this.#card = card
  }

  /** `until`: the step before which it has to be done */
  begin(until: number, copy: (stream: bigint) => void): void {
    const { driver, stream, copies } = this.#card
    driver.call('streamWait', copies, this.#mark(stream), 0)
    copy(copies)
    this.#pending.push({ until, done: this.#mark(copies) })
  }

  /** The stream goes on behind all that has to be done before `step`. */
  waitFor(step: number): void {
    const { driver, stream } = this.#card
    for (const { until, done } of this.#pending) if (until <= step) driver.call('streamWait', stream, done, 0)
    this.#pending = this.#pending.filter(({ until }) => until > step)
  }

  /** an event at what was last put on the stream */
  #mark(stream: bigint): bigint {
    const { driver } = this.#card
    const event = driver.result('eventCreate', NO_TIMING)
    this.#events.push(event)
    driver.call('eventRecord', event, stream, 0)
    return event
  }

  dispose(): void {
    for (const event of this.#events) this.#card.driver.release('eventDestroy', event)
  }
}
