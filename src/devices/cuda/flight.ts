/** One run on its way: what it has of its own, so that another can be queued while the card is at it. */
import { callAsync } from '../ffi.ts'
import type { Card, Pinned } from './card.ts'

const NOT_READY = 600
/** runs shorter than this are not worth a thread's waking up */
const LOOK_MS = 1
/** CU_EVENT_DISABLE_TIMING */
const NO_TIMING = 2

export interface Piece {
  /** on the card */
  at: bigint
  bytes: number
}

export class Flight {
  readonly #card: Card
  readonly #over: bigint
  #pinned: Pinned | undefined
  #used = 0

  constructor(card: Card) {
    this.#card = card
    this.#over = card.driver.result('eventCreate', NO_TIMING)
  }

  /** Inputs leave from pinned memory, side by side, and results arrive there, so that the copies run on the stream behind the host's back. */
  load(inputs: readonly { view: ArrayBufferView; to: bigint }[], results: readonly Piece[]): void {
    const total = [...inputs.map(({ view }) => view.byteLength), ...results.map(({ bytes }) => bytes)].reduce((sum, n) => sum + align(n), 0)
    if (!this.#pinned || this.#pinned.bytes.length < total) {
      if (this.#pinned) this.#card.unpin(this.#pinned)
      this.#pinned = undefined
      this.#pinned = this.#card.pin(Math.max(total, 1 << 20))
    }
    this.#used = 0
    const { driver, stream } = this.#card
    for (const { view, to } of inputs) {
      const { address, own } = this.#take(view.byteLength)
      own.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
      driver.call('copyToDevice', to, address, view.byteLength, stream)
    }
  }

  /** The way back of results, for which `load` made room: once that is queued others may write where they lie. */
  async bring(results: readonly Piece[], onQueued: () => void): Promise<Uint8Array[]> {
    const { driver, stream } = this.#card
    const arriving = results.map(({ at, bytes }) => {
      const { address, own } = this.#take(bytes)
      driver.call('copy', address, at, bytes, stream)
      return own
    })
    this.leave()
    onQueued()
    await this.landed()
    return arriving.map((own) => own.slice())
  }

  #take(bytes: number): { address: bigint; own: Uint8Array } {
    const { address, bytes: all } = this.#pinned!
    const at = this.#used
    this.#used += align(bytes)
    return { address: address + BigInt(at), own: all.subarray(at, at + bytes) }
  }

  /** All that it queues is queued. */
  leave(): void {
    this.#card.driver.call('eventRecord', this.#over, this.#card.stream, 0)
  }

  /** Waits until it is over with the event loop free: looking now and then at first, then on a thread of the pool (which takes 0.1 ms). */
  async landed(): Promise<void> {
    const { driver } = this.#card
    for (const start = performance.now(); performance.now() - start < LOOK_MS; ) {
      const status = driver.raw.eventQuery(this.#over) as number
      if (status === 0) return
      if (status !== NOT_READY) throw driver.error('eventQuery', status)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const status = (await callAsync(driver.raw.eventSynchronize, this.#over)) as number
    if (status !== 0) throw driver.error('eventSynchronize', status)
  }

  dispose(): void {
    if (this.#pinned) this.#card.unpin(this.#pinned)
    this.#card.driver.release('eventDestroy', this.#over)
  }
}

const align = (bytes: number) => Math.ceil(bytes / 256) * 256
