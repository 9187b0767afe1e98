/** Where what a run says goes. */
import type { EndEvent, ProgressEvent, StartEvent, TrainEvent } from '../train/events.ts'

export interface Tracker {
  start(run: StartEvent): void
  log(event: ProgressEvent): void
  end(summary: EndEvent): void
}

/** Text that goes to a terminal, a pipe or a file. */
export interface TextOutput {
  write(text: string): void
  readonly isTTY: boolean
  readonly columns: number
}

/** Hands every event to every tracker and passes it on. */
export async function* tracked(events: AsyncIterable<TrainEvent>, trackers: readonly Tracker[]): AsyncGenerator<TrainEvent> {
  for await (const event of events) {
    for (const tracker of trackers) send(tracker, event)
    yield event
  }
}

export function send(tracker: Tracker, event: TrainEvent): void {
  if (event.type === 'start') tracker.start(event)
  else if (event.type === 'end') tracker.end(event)
  else tracker.log(event)
}
