/**
 * One row as token ids and targets, as TRL's SFTTrainer tokenises it: EOS at the end of a text that has none; the completion begins
 * where the tokens of prompt and of prompt + completion part; a message's template adds what it adds, and no special tokens come on top.
 */
import { option, SaqrError, say } from '../error.ts'
import type { Message } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { alpacaPrompt } from './alpaca.ts'
import { textOf, textOrNone } from './cells.ts'
import { chatColumns, messagesOf } from './conversation.ts'
import { inForm } from './forms.ts'
import { lostParts } from './lost.ts'
import { unlearned } from './marks.ts'
import { knownRoles } from './roles.ts'
import type { Row } from './rows.ts'
import { behindPrompt, REPEATED } from './said.ts'
import type { Shape } from './shape.ts'
import { tokenRow } from './token-rows.ts'

export interface TokenizeOptions {
  textField: string
  completionOnlyLoss: boolean
  assistantOnlyLoss: boolean
  /** the day that templates are told */
  now: Date
}

export interface Tokens {
  ids: ArrayLike<number>
  targets: Uint8Array
  /** the end of the prompt that the row lost, because its tokens merge with the completion's */
  lost?: string
  /** what the template left out of this row, or was given otherwise, though nothing is refused for it */
  notes?: string[]
}

type Tokenize = (row: Row, where: string, tokenizer: Tokenizer, options: TokenizeOptions) => Tokens

export const tokenizers: Record<Shape, Tokenize> = {
  text: (row, where, tokenizer, { textField }) => all(tokenizer.encode(withEos(textOf(row, textField, where), tokenizer), { where })),
  alpaca(row, where, tokenizer, options) {
    const prompt = alpacaPrompt(textOf(row, 'instruction', where), textOrNone(row, 'input', where))
    const output = textOf(row, 'output', where)
    return promptCompletion(prompt, output, where, tokenizer, options)
  },
  'prompt-completion'(row, where, tokenizer, options) {
    if (Array.isArray(row.prompt)) return chatPromptCompletion(row, where, tokenizer, options)
    return promptCompletion(textOf(row, 'prompt', where), textOf(row, 'completion', where), where, tokenizer, options)
  },
  messages: (row, where, tokenizer, options) => chat(messagesOf(row.messages, 'messages', where), row, where, tokenizer, options),
  conversations(row, where, tokenizer, options) {
    const messages = messagesOf(row.conversations, 'conversations', where)
    const content = textOrNone(row, 'system', where)
    const system = content === '' ? [] : [{ role: 'system', content }]
    return chat([...system, ...messages], row, where, tokenizer, options)
  },
  tokens: tokenRow,
}

const all = (ids: number[]): Tokens => ({ ids, targets: new Uint8Array(ids.length).fill(1) })

export function withEos(text: string, tokenizer: Tokenizer): string {
  const eos = tokenizer.special.eos_token
  if (eos === undefined) throw noEos()
  return text.endsWith(eos) ? text : text + eos
}

export const noEos = () =>
  new SaqrError(
    'DATA_NO_EOS',
    say`The tokenizer names no token that ends a text, so a model would not learn to stop. Name one (${option('eosToken')}).`,
  )

function promptCompletion(
  prompt: string,
  completion: string,
  where: string,
  tokenizer: Tokenizer,
  { completionOnlyLoss }: TokenizeOptions,
): Tokens {
  const ids = tokenizer.encode(prompt + withEos(completion, tokenizer), { where })
  if (!completionOnlyLoss) return all(ids)
  return afterPrompt(tokenizer.encode(prompt, { where }), all(ids), tokenizer)
}

/** Targets only where prompt and whole have parted. */
function afterPrompt(prompt: readonly number[], whole: Tokens, tokenizer: Tokenizer): Tokens {
  let length = 0
  while (length < Math.min(prompt.length, whole.ids.length) && prompt[length] === whole.ids[length]) length++
  const targets = whole.targets.slice().fill(0, 0, length)
  return length < prompt.length ? { ...whole, targets, lost: tokenizer.decode(prompt.slice(length)) } : { ...whole, targets }
}

export interface ChatTokens extends Tokens {
  /** as they were rendered, and into what text */
  messages: readonly Message[]
  text: string
}

/** `prompt`: so many messages at the beginning are no targets. */
export function chat(
  conversation: Message[],
  row: Row,
  where: string,
  tokenizer: Tokenizer,
  { assistantOnlyLoss, now }: TokenizeOptions,
  prompt = 0,
): ChatTokens {
  const given = { ...chatColumns(row, where), now, where }
  const known = knownRoles(conversation, where, (role) => tokenizer.namesRole(role, given))
  const marks = unlearned(known, where, { assistantOnlyLoss, prompt })
  const { messages, made, note } = inForm(known, where, (all) => {
    if (assistantOnlyLoss) return tokenizer.applyChatTemplateWithMask(all, { ...given, unlearned: marks.without })
    const chat = tokenizer.applyChatTemplate(all, given)
    return { ...chat, mask: new Uint8Array(chat.ids.length).fill(1) }
  })
  const notes = [...lostParts(messages, given, made), note, marks.note].filter((one) => one !== undefined)
  return { ids: made.ids, targets: made.mask, notes, messages, text: made.text }
}

function chatPromptCompletion(row: Row, where: string, tokenizer: Tokenizer, options: TokenizeOptions): Tokens {
  const prompt = messagesOf(row.prompt, 'prompt', where)
  const completion = messagesOf(row.completion, 'completion', where)
  const answer = behindPrompt(prompt, completion)
  const made = chat([...prompt, ...answer], row, where, tokenizer, options, options.completionOnlyLoss ? prompt.length : 0)
  const whole = answer === completion ? made : { ...made, notes: [...(made.notes ?? []), REPEATED] }
  if (!options.completionOnlyLoss) return whole
  const training = options.assistantOnlyLoss
  const given = { ...chatColumns(row, where), now: options.now, where, addGenerationPrompt: true, training }
  return afterPrompt(tokenizer.applyChatTemplate(whole.messages.slice(0, prompt.length), given).ids, whole, tokenizer)
}
