/** Messages that say the same, and what an answer adds to the prompt that stands in it again. */
import { isObject } from '../formats/json.ts'
import type { Message } from '../text/chat-template.ts'

/** The same text for messages that say the same: whatever the order of their keys, and with or without those that are null. */
export function said(message: Message): string {
  return JSON.stringify(message, (_, value) =>
    isObject(value)
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([, of]) => of !== null)
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        )
      : value,
  )
}

export const REPEATED =
  'the answer begins with its whole prompt, which is left out of it: it is asked once. TRL asks twice, and learns the question'

/**
 * What an answer says behind its prompt, where it is written as the whole conversation: prompt and all, or all but its system messages. Nobody
 * is asked the same twice without an answer between, so nothing else is meant.
 */
export function behindPrompt(prompt: readonly Message[], answer: Message[]): Message[] {
  for (const asked of [prompt, prompt.filter(({ role }) => role !== 'system')]) {
    const repeats = asked.length > 0 && answer.length > asked.length && asked.every((message, i) => said(message) === said(answer[i]!))
    if (repeats) return answer.slice(asked.length)
  }
  return answer
}
