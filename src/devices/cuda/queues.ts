/** What runs beside the card's stream while a segment is captured: begun behind what stands before it, waited for where it must be done. */
import type { Beside } from '../../graph/plan.ts'
import type { Card } from './card.ts'

/** CU_EVENT_DISABLE_TIMING */
const NO_TIMING = 2

export class Queues {
  readonly #card: Card
  readonly #events: bigint[] = []
  /** of what nothing has waited for, in the order it was begun */
  #pending: (Beside & { done: bigint })[] = []

  constructor(card: Card) {
    this.#card = card
  }

  begin({ on, until }: Beside, enqueue: (stream: bigint) => void): void {
    const { driver, stream, queues } = this.#card
    driver.call('streamWait', queues[on], this.#mark(stream), 0)
    enqueue(queues[on])
    this.#pending.push({ on, until, done: this.#mark(queues[on]) })
  }

  /** The stream goes on behind all that has to be done before `step`. */
  waitFor(step: number): void {
    const { driver, stream } = this.#card
    // a queue keeps its order: behind its last are all
    const last = new Map<Beside['on'], bigint>()
    for (const { on, until, done } of this.#pending) if (until <= step) last.set(on, done)
    for (const done of last.values()) driver.call('streamWait', stream, done, 0)
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
