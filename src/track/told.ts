/** Notes and warnings whose texts name options: each is spelled for whoever reads it. */
import { Message, type Spelling } from '../error.ts'
import type { NoteEvent, TrainEvent, WarningEvent } from './events.ts'

/** the texts of events that name options, with these still open to spelling */
const texts = new WeakMap<object, Message>()

function telling<E extends NoteEvent | WarningEvent>(type: E['type'], text: string | Message): E {
  const event = { type, message: plain(text) } as E
  if (text instanceof Message) texts.set(event, text)
  return event
}

export const note = (text: string | Message): NoteEvent => telling<NoteEvent>('note', text)
export const warning = (text: string | Message): WarningEvent => telling<WarningEvent>('warning', text)

/** @param spelling default: as programs write options */
export const plain = (text: string | Message, spelling?: Spelling): string => (text instanceof Message ? text.spelled(spelling) : text)

/** The same events for another reader than a program. */
export async function* respelled(events: AsyncGenerator<TrainEvent>, spelling: Spelling): AsyncGenerator<TrainEvent> {
  for await (const event of events) {
    const text = texts.get(event)
    yield text ? ({ ...event, message: text.spelled(spelling) } as TrainEvent) : event
  }
}
