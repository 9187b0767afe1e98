/** Conversations for templates that show one call of a message: each call in a message of its own, with its result right behind it. */
import { withKeys } from '../formats/json-exact.ts'
import type { Message } from '../text/chat-template.ts'

export interface SingleCalls {
  messages: Message[]
  /** of each message the one that it was made of, and which of that one's calls it has */
  from: { message: number; call: number }[]
}

/** Null: there are results that belong to no call, or it can't be known to which. */
export function withSingleCalls(messages: readonly Message[]): SingleCalls | null {
  const made: SingleCalls = { messages: [], from: [] }
  const add = (one: Message, message: number, call: number) => {
    made.messages.push(one)
    made.from.push({ message, call })
  }
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i]!
    const calls = callsIn(message)
    if (calls.length < 2) {
      add(message, i, 0)
      continue
    }
    let end = i + 1
    while (messages[end]?.role === 'tool') end++
    const of = callsOfResults(messages.slice(i + 1, end), calls)
    if (of === null) return null
    for (const [k, call] of calls.entries()) {
      // what was said and thought stands before the first
      const single = k === 0 ? withKeys(message, { tool_calls: [call] }) : { role: message.role, content: '', tool_calls: [call] }
      add(single as Message, i, k)
      for (const [j, one] of of.entries()) if (one === k) add(messages[i + 1 + j]!, i + 1 + j, 0)
    }
    i = end - 1
  }
  return made
}

export const callsIn = ({ tool_calls: calls }: Message): readonly { id?: unknown }[] => (Array.isArray(calls) ? calls : [])

/** Which call each result is of: by its id or, where none has one, in their order. */
function callsOfResults(results: readonly Message[], calls: readonly { id?: unknown }[]): number[] | null {
  const named = results.some(({ tool_call_id: id }) => id !== undefined && id !== null)
  if (!named) return results.length <= calls.length ? results.map((_, k) => k) : null
  const of = results.map(({ tool_call_id: id }) => calls.findIndex((call) => call.id === id))
  return of.includes(-1) ? null : of
}
