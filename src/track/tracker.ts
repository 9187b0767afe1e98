/** Where what a run says goes. */
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

/** Hands every event to every tracker and passes it on. */
export async function* tracked(events: AsyncIterable<TrainEvent>, trackers: readonly Tracker[]): AsyncGenerator<TrainEvent> {
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
