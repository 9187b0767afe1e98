/** A stream of this process as trackers write to it. */
import { hasMethods, kind, take } from '../hub/arguments.ts'
import type { TextOutput } from './tracker.ts'

/** what of a stream such as process.stderr is used */
export interface TextStreamLike {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

const writable = kind<TextStreamLike>('a stream such as process.stderr', (v) => hasMethods(v, 'write'))

/** @throws SaqrError OPTION_INVALID for what is no stream of a process */
export function textOutput(stream: TextStreamLike): TextOutput {
  take(stream, 'stream', writable)
  const isTTY = stream.isTTY === true
  return {
    write: (text) => void stream.write(text),
    isTTY,
    // https://no-color.org
    color: isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb',
    get columns() {
      return stream.columns ?? 100
    },
  }
}

export const standardError: TextOutput = textOutput(process.stderr)
