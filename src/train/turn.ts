/**
 * Runs of one model follow one another: they change the same tensors. While the reader of a run's events holds one, the run stands still
 * between two steps, and who only reads the tensors (an evaluation) goes then.
 */
import { Turns } from '../devices/turns.ts'
import type { LanguageModel } from '../engine/language-model.ts'

class RunTurns {
  readonly queue = new Turns()
  /** does the run whose turn it is stand still? */
  #paused = false
  readonly #reading = new Set<Promise<void>>()
  readonly #waiting = new Set<() => void>()

  pause(): void {
    this.#paused = true
    for (const begin of [...this.#waiting]) begin()
  }

  /** Waits for those who read. */
  async goOn(): Promise<void> {
    this.#paused = false
    await Promise.all(this.#reading)
  }

  /** @returns what ends the reading */
  async read(signal?: AbortSignal): Promise<() => void> {
    if (this.#paused) return this.#begin()
    const stoodStill = new AbortController()
    const turn = take(this.queue, signal ? AbortSignal.any([signal, stoodStill.signal]) : stoodStill.signal)
    return await new Promise((resolve, reject) => {
      // the reading has begun before the run can go on: a later moment would be within a step
      const begin = () => {
        resolve(this.#begin())
        stoodStill.abort()
      }
      this.#waiting.add(begin)
      turn.then(resolve, reject).finally(() => this.#waiting.delete(begin))
    })
  }

  #begin(): () => void {
    let end = () => {}
    const reading = new Promise<void>((resolve) => (end = resolve))
    this.#reading.add(reading)
    return () => {
      this.#reading.delete(reading)
      end()
    }
  }
}

const turns = new WeakMap<LanguageModel, RunTurns>()

function turnsOf(model: LanguageModel): RunTurns {
  let found = turns.get(model)
  if (!found) turns.set(model, (found = new RunTurns()))
  return found
}

/** a turn of the queue, and what ends it */
function take(queue: Turns, signal?: AbortSignal): Promise<() => void> {
  return new Promise((begin, reject) => {
    const work = () => new Promise<void>((end) => begin(() => end()))
    queue.take(work, signal).catch(reject)
  })
}

export interface RunTurn {
  /** The run stands still: an event of it is out of its hands. */
  pause(): void
  /** It goes on, once nobody reads. */
  goOn(): Promise<void>
  end(): void
}

/** Waits for the runs before. Rejects with the signal's reason where that comes first. */
export async function turnOn(model: LanguageModel, signal?: AbortSignal): Promise<RunTurn> {
  const own = turnsOf(model)
  const leave = await take(own.queue, signal)
  const { training } = model.opened
  training.add(model)
  const end = () => {
    training.delete(model)
    leave()
  }
  return { pause: () => own.pause(), goOn: () => own.goOn(), end }
}

/** Waits until no run changes the tensors: for its end, or for one that stands still. Returns what ends the reading. */
export function turnToRead(model: LanguageModel, signal?: AbortSignal): Promise<() => void> {
  return turnsOf(model).read(signal)
}
