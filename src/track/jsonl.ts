/** Every event as a line of JSON, as `stream()` yields it, with the time it was written. A resumed run goes on in the same file. */
import { filled, func, take } from '../hub/arguments.ts'
import { growingFile } from './append.ts'
import type { TrainEvent } from './events.ts'
import type { Tracker } from './tracker.ts'

/** @throws SaqrError OPTION_INVALID; while it runs TRAIN_LOG where the file can't be written */
export function jsonl(path: string, now: () => Date = () => new Date()): Tracker {
  const file = growingFile(take(path, 'path', filled), 'jsonl')
  take(now, 'now', func('a function that gives a Date'))
  const write = (event: TrainEvent) => file.write(`${JSON.stringify({ ...event, time: now().toISOString() })}\n`)
  return { start: write, log: write, end: write, close: file.close }
}
