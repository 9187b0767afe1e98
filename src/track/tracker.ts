/** Where what a run says goes. */
import { type Check, hasMethods, kind, take } from '../hub/arguments.ts'
import type { AnswersEvent, EndEvent, NoteEvent, ProgressEvent, StartEvent, TrainEvent, WarningEvent } from './events.ts'

/** Where a method gives a promise, the run goes on when it is fulfilled. */
export interface Tracker {
  /** The run begins. */
  start(run: StartEvent): unknown
  /** Something happened. */
  log(event: ProgressEvent): unknown
  /** The run came to its end. */
  end(summary: EndEvent): unknown
  /** the run is over, whether or not it came to its end */
  close?(): unknown
  /** What it has to say itself, asked for after each event: that becomes events too. */
  news?(): readonly (NoteEvent | WarningEvent | AnswersEvent)[]
}

/** Text that goes to a terminal, a pipe or a file. */
export interface TextOutput {
  /** Writes a text, as it is. */
  write(text: string): void
  /** does somebody watch? then lines may be drawn anew */
  readonly isTTY: boolean
  /** may colours be used? default: no */
  readonly color?: boolean
  /** width in characters */
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
      for (const tracker of trackers) await send(tracker, event)
      if (event.type !== 'end') yield event
      for (const told of trackers.flatMap((tracker) => tracker.news?.() ?? [])) {
        for (const tracker of trackers) await send(tracker, told)
        yield told
      }
      // a run's last event stays the last
      if (event.type === 'end') yield event
    }
  } finally {
    for (const tracker of trackers) await tracker.close?.()
  }
}

export function send(tracker: Tracker, event: TrainEvent): unknown {
  if (event.type === 'start') return tracker.start(event)
  return event.type === 'end' ? tracker.end(event) : tracker.log(event)
}
