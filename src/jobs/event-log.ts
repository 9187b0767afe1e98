/** A job's events: a file that only grows, a line of JSON each. A line that a kill cut off is taken away when it is opened again. */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { exists, fileError } from '../hub/files.ts'
import type { FineTuningJobEvent } from './objects.ts'

export class EventLog {
  readonly #path: string
  readonly #events: FineTuningJobEvent[] = []
  readonly #ids = new Set<string>()
  /** what waits for the next */
  #waiting: (() => void)[] = []

  /** @throws SaqrError FORMAT_… for a file that can't be read */
  constructor(path: string) {
    this.#path = path
    if (!exists(path)) return
    const text = readFileSync(path)
    const whole = text.lastIndexOf(10) + 1
    if (whole < text.length) truncateSync(path, whole)
    for (const line of text.toString('utf8', 0, whole).split('\n')) if (line !== '') this.#take(JSON.parse(line) as FineTuningJobEvent)
  }

  /** oldest first */
  get events(): readonly FineTuningJobEvent[] {
    return this.#events
  }

  has({ id }: FineTuningJobEvent): boolean {
    return this.#ids.has(id)
  }

  /**
   * @param lasting flushed to the disk before it returns: what can't be told again
   * @throws SaqrError FORMAT_DISK_FULL … nothing is taken then
   */
  append(events: readonly FineTuningJobEvent[], lasting: boolean): void {
    if (events.length === 0) return
    const bytes = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(''))
    try {
      const file = openSync(this.#path, 'a')
      const before = fstatSync(file).size
      try {
        for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
        if (lasting) fsyncSync(file)
      } catch (cause) {
        ftruncateSync(file, before) // half a line would be part of the next
        throw cause
      } finally {
        closeSync(file)
      }
    } catch (cause) {
      throw fileError(cause, this.#path, 'write')
    }
    for (const event of events) this.#take(event)
    this.wake()
  }

  /** of this process alone, where the disk takes nothing */
  keep(event: FineTuningJobEvent): void {
    this.#take(event)
    this.wake()
  }

  /** Resolves with the next event, or when `wake` is called. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const go of waiting) go()
  }

  #take(event: FineTuningJobEvent): void {
    this.#events.push(event)
    this.#ids.add(event.id)
  }
}
