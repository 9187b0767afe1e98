/** The process of a job. It ends with the job, when it is told to stop, and when whoever started it is gone: then with a checkpoint of its last step. */
import { SaqrError } from '../error.ts'
import type { Heard, Told, Work } from './messages.ts'
import { train } from './train.ts'

const stop = new AbortController()
const end = (why: string) => stop.abort(new DOMException(why, 'AbortError'))

let left = Promise.resolve()
function say(message: Heard): void {
  if (!process.connected) return
  left = new Promise((sent) => process.send!(message, () => sent()))
}

async function work(given: Work): Promise<void> {
  try {
    await train(given, say, stop.signal)
  } catch (error) {
    if (stop.signal.aborted && (error as Error)?.name === 'AbortError') say({ type: 'stopped' })
    else say(failureOf(error, given))
  }
  await left
  process.exit(0)
}

function failureOf(error: unknown, { training, validation }: Work): Heard {
  if (!(error instanceof SaqrError))
    return {
      type: 'failed',
      code: 'server_error',
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      param: null,
    }
  const { code, message } = error
  const param = message.includes(training.said)
    ? 'training_file'
    : validation && message.includes(validation.said)
      ? 'validation_file'
      : null
  // what it is told of other options is not the job's to choose
  const then = code.startsWith('MEMORY_')
    ? ' What jobs may take is said by memory where jobs are opened, by --job_memory of saqr serve.'
    : ''
  return { type: 'failed', code: param === null ? code.toLowerCase() : `invalid_${param}`, message: message + then, param }
}

process.on('message', (told: Told) => {
  if (told.type === 'stop') end('stopped')
  else void work(told.work)
})
process.on('disconnect', () => end('whoever asked for the job is gone'))
// Ctrl-C in a terminal reaches every process there: what becomes of the job is its parent's business
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
process.on('SIGTERM', () => end('stopped by SIGTERM'))
