/**
 * Whose turn it is on a device. All plans share one arena, so what a run leaves there belongs to its caller until the turn ends; calls that
 * overlap queue, in the order they came. Memory that the turn under way may touch is given back when it ends.
 */
export class Turns {
  #taken = false
  readonly #waiting: Waiter[] = []
  readonly #afterwards: (() => void)[] = []

  /** Runs `work` when it is its turn. Rejects with the signal's reason where that comes first; an abort later on is `work`'s to see. */
  async take<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    if (this.#taken) await this.#wait(signal)
    this.#taken = true
    try {
      return await work()
    } finally {
      try {
        this.#giveBack()
      } finally {
        const next = this.#waiting.shift()
        if (next) next.start()
        else this.#taken = false
      }
    }
  }

  /** One that fails (a card that is lost) keeps neither the others nor whoever waits. */
  #giveBack(): void {
    const failed: unknown[] = []
    for (const free of this.#afterwards.splice(0)) {
      try {
        free()
      } catch (error) {
        failed.push(error)
      }
    }
    if (failed.length > 0) throw failed[0]
  }

  /** at once where it is nobody's turn, else when the turn under way ends */
  whenFree(free: () => void): void {
    if (this.#taken) this.#afterwards.push(free)
    else free()
  }

  get free(): boolean {
    return !this.#taken
  }

  /** whoever waits now is told so instead */
  refuse(reason: Error): void {
    for (const { stop } of this.#waiting.splice(0)) stop(reason)
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => signal?.removeEventListener('abort', abort)
      const waiter: Waiter = {
        start: () => {
          leave()
          resolve()
        },
        stop: (reason) => {
          leave()
          reject(reason)
        },
      }
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        waiter.stop(signal!.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.push(waiter)
    })
  }
}

interface Waiter {
  start: () => void
  stop: (reason: unknown) => void
}
