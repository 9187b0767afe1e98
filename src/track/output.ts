/** A stream of this process as trackers write to it. */
import type { TextOutput } from './tracker.ts'

export function textOutput(stream: NodeJS.WriteStream): TextOutput {
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
