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
  /** What it has to say itself, asked for after each event, and each second that the run waits for it: that becomes events too. */
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
  const news = async function* () {
    for (const told of trackers.flatMap((tracker) => tracker.news?.() ?? [])) {
      for (const tracker of trackers) await send(tracker, told)
      yield told
    }
  }
  try {
    for await (const event of events) {
      for (const tracker of trackers) {
        const sent = send(tracker, event)
        if (sent !== undefined) while (!(await settledWithin(sent, 1000))) yield* news()
      }
      if (event.type !== 'end') yield event
      yield* news()
      // a run's last event stays the last
      if (event.type === 'end') yield event
    }
  } finally {
    for (const tracker of trackers) await tracker.close?.()
  }
}

/** Rejects as it does. */
async function settledWithin(sent: unknown, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false)
  })
  try {
    return await Promise.race([Promise.resolve(sent).then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

export function send(tracker: Tracker, event: TrainEvent): unknown {
  if (event.type === 'start') return tracker.start(event)
  return event.type === 'end' ? tracker.end(event) : tracker.log(event)
}
