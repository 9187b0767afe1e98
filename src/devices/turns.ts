/** turns at most that are under way: one, and one whose work is queued behind it */
const MOST = 2

/**
 * Whose turn it is on a device. All plans share one arena, so what a run leaves there belongs to its caller until the turn ends; calls that
 * overlap queue, in the order they came. A turn that has nothing more to ask of the device hands it on before it is over. Memory that turns
 * under way may touch is given back when none is.
 */
export class Turns {
  #taken = false
  /** turns that aren't over */
  #open = 0
  /** whose turn it is would hand on, and two were under way, or memory waits to be given back */
  #handingOn: (() => void) | null = null
  readonly #waiting: Waiter[] = []
  readonly #afterwards: (() => void)[] = []

  /**
   * Runs `work` when it is its turn. Rejects with the signal's reason where that comes first; an abort later on is `work`'s to see. `handOn`, to
   * be called once at most: whoever comes next may begin, as what this turn asked of the device is queued there and needs the host no more.
   */
  async take<T>(work: (handOn: () => void) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    // who comes while memory waits to be given back may need just that
    if (this.#taken || this.#afterwards.length > 0) await this.#wait(signal)
    this.#taken = true
    this.#open++
    let mine = true
    const handOn = () => {
      mine = false
      this.#next()
    }
    const ask = () => {
      this.#handingOn = handOn
      this.#tryHandOn()
    }
    try {
      return await work(ask)
    } finally {
      this.#open--
      if (mine) this.#handingOn = null
      try {
        if (this.#open === 0) this.#giveBack()
      } finally {
        if (mine || !this.#taken) this.#next()
        else this.#tryHandOn()
      }
    }
  }

  #tryHandOn(): void {
    const handOn = this.#handingOn
    if (!handOn || this.#open >= MOST || this.#afterwards.length > 0) return
    this.#handingOn = null
    handOn()
  }

  #next(): void {
    const next = this.#afterwards.length > 0 ? undefined : this.#waiting.shift()
    this.#taken = next !== undefined
    next?.start()
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

  /** at once where no turn is under way, else when those that are have ended, before any other begins */
  whenFree(free: () => void): void {
    if (this.free) free()
    else this.#afterwards.push(free)
  }

  get free(): boolean {
    return !this.#taken && this.#open === 0
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
