/** Prompts as programs hand them over. */
import { SaqrError } from '../error.ts'
import { shown } from '../hub/arguments.ts'
import type { Message } from '../text/chat-template.ts'
import type { Prompt } from './generate.ts'

/** Null: it is no list of prompts. A list of messages is one prompt, and so is one of token ids. */
export function asPrompts(given: unknown): Prompt[] | null {
  const isPrompt = (one: unknown) => typeof one === 'string' || Array.isArray(one) || ArrayBuffer.isView(one)
  return Array.isArray(given) && given.length > 0 && given.every(isPrompt) ? given.map(asPrompt) : null
}

/** @throws SaqrError OPTION_INVALID */
export function asPrompt(prompt: unknown): Prompt {
  if (typeof prompt === 'string') return prompt
  if (Array.isArray(prompt) && prompt.length === 0)
    throw new SaqrError('OPTION_INVALID', 'an empty list holds neither prompts nor messages nor token ids: give one at least')
  const list: unknown = prompt instanceof Int32Array || prompt instanceof Uint32Array ? Array.from(prompt) : prompt
  const isMessage = (one: unknown) => typeof one === 'object' && one !== null && typeof (one as Message).role === 'string'
  if (Array.isArray(list) && (list.every((one) => typeof one === 'number') || list.every(isMessage))) return list
  throw new SaqrError('OPTION_INVALID', `a prompt is a text, a list of messages with role and content, or token ids, not ${shown(prompt)}`)
}
