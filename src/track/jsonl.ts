/** Every event as a line of JSON, as `stream()` yields it, with the time it was written. A resumed run goes on in the same file. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { filled, func, take } from '../hub/arguments.ts'
import { makeFolder } from '../hub/files.ts'
import type { TrainEvent } from './events.ts'
import type { Tracker } from './tracker.ts'

/** @throws SaqrError OPTION_INVALID; while it runs TRAIN_LOG where the file can't be written */
export function jsonl(path: string, now: () => Date = () => new Date()): Tracker {
  take(path, 'path', filled)
  take(now, 'now', func('a function that gives a Date'))
  let file: number | undefined
  const write = (event: TrainEvent) => {
    try {
      if (file === undefined) {
        makeFolder(dirname(path))
        file = openSync(path, 'a')
      }
      writeSync(file, `${JSON.stringify({ ...event, time: now().toISOString() })}\n`)
    } catch (cause) {
      throw new SaqrError(
        'TRAIN_LOG',
        say`${path}: can't be written (${(cause as Error).message}); make room or leave ${option('reportTo')} jsonl out`,
        { cause },
      )
    }
  }
  return {
    start: write,
    log: write,
    end: write,
    close() {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}
