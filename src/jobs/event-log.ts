/** A job's events: a file that only grows, a line of JSON each. What a kill or a power cut left at its end is taken away when it is opened again. */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { isObject } from '../formats/json.ts'
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
    const bytes = read(path)
    let whole = 0
    for (let from = 0, to = bytes.indexOf(10); to !== -1; from = to + 1, to = bytes.indexOf(10, from)) {
      const event = eventOf(bytes.toString('utf8', from, to))
      // a line that the disk has damaged is no reason to refuse the others
      if (event === null) continue
      this.#take(event)
      whole = to + 1
    }
    if (whole < bytes.length) cut(path, whole)
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
    if (this.has(event)) return
    this.#events.push(event)
    this.#ids.add(event.id)
  }
}

function read(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
}

function cut(path: string, length: number): void {
  try {
    truncateSync(path, length)
  } catch (cause) {
    throw fileError(cause, path, 'write')
  }
}

/** null for a line that is none: a power cut leaves zeros, or parts of lines that were not flushed */
function eventOf(line: string): FineTuningJobEvent | null {
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) && typeof value.id === 'string' && isObject(value.data) ? (value as unknown as FineTuningJobEvent) : null
  } catch {
    return null
  }
}
