/** Where what a run says goes. */
import { type Check, hasMethods, kind, take } from '../hub/arguments.ts'
import type { EndEvent, ProgressEvent, StartEvent, TrainEvent } from './events.ts'

export interface Tracker {
  start(run: StartEvent): void
  log(event: ProgressEvent): void
  end(summary: EndEvent): void
  /** the run is over, whether or not it came to its end */
  close?(): void
}

/** Text that goes to a terminal, a pipe or a file. */
export interface TextOutput {
  write(text: string): void
  readonly isTTY: boolean
  /** may colours be used? default: no */
  readonly color?: boolean
  readonly columns: number
}

const iterable = kind<AsyncIterable<TrainEvent>>('what trainer.stream() gives', (v) => hasMethods(v, Symbol.asyncIterator))
/** what `report` of a trainer may be a list of */
export const trackersCheck = kind<readonly Tracker[]>(
  'a list of trackers',
  (v) => Array.isArray(v) && v.every((one) => hasMethods(one, 'start', 'log', 'end')),
)
export const output: Check<TextOutput> = kind('an output of textOutput(stream)', (v) => hasMethods(v, 'write'))

/** Hands every event to every tracker and passes it on. @throws SaqrError OPTION_INVALID */
export function tracked(events: AsyncIterable<TrainEvent>, trackers: readonly Tracker[]): AsyncGenerator<TrainEvent> {
  return handOut(take(events, 'events', iterable), take(trackers, 'trackers', trackersCheck))
}

async function* handOut(events: AsyncIterable<TrainEvent>, trackers: readonly Tracker[]): AsyncGenerator<TrainEvent> {
  try {
    for await (const event of events) {
      for (const tracker of trackers) send(tracker, event)
      yield event
    }
  } finally {
    for (const tracker of trackers) tracker.close?.()
  }
}

export function send(tracker: Tracker, event: TrainEvent): void {
  if (event.type === 'start') tracker.start(event)
  else if (event.type === 'end') tracker.end(event)
  else tracker.log(event)
}
