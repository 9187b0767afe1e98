/**
 * In what form the rows asked and over which form of its base an adapter was trained, kept beside what was trained on them (saqr.json, which PEFT and transformers pass over): who asks the
 * trained model asks alike.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { isFile, writeFileAtomic } from '../formats/files.ts'
import { isObject, readJsonObject, stringifyJson } from '../formats/json.ts'
import type { Message } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { alpacaPrompt } from './alpaca.ts'
import { lazily } from './lazy-list.ts'
import type { Row } from './rows.ts'
import type { RunRecord } from './run-record.ts'
import type { Shape } from './shape.ts'

/** chat: a user's message in the chat template; alpaca: the instruction of Stanford's wording; plain: the text, with `end` behind it. */
export type PromptForm = { form: 'chat' } | { form: 'alpaca' } | { form: 'plain'; end: string }

const FILE = 'saqr.json'
const PLAIN: PromptForm = { form: 'plain', end: '' }

/** The form of rows of a shape; null: none could be told. */
export function promptFormOf(shape: Shape, rows: readonly Row[], textField: string, tokenizer: Tokenizer): PromptForm | null {
  switch (shape) {
    case 'messages':
    case 'conversations':
      return { form: 'chat' }
    case 'alpaca':
      return { form: 'alpaca' }
    case 'prompt-completion': {
      const form = formOfPrompts()
      for (const { prompt } of rows) form.see(Array.isArray(prompt) ? prompt : String(prompt))
      return form.end()
    }
    case 'text':
      return formOfTexts(
        lazily(rows, (row) => String(row[textField])),
        tokenizer,
      )
    case 'tokens':
      return null
  }
}

/** Texts that a program wrote in Alpaca's wording or in the template itself are asked so. */
export function formOfTexts(texts: readonly string[], tokenizer: Tokenizer): PromptForm {
  const [preamble] = alpacaPrompt('\0', '').split('\0') as [string]
  if (texts.every((text) => text.startsWith(preamble))) return { form: 'alpaca' }
  const mark = userMark(tokenizer)
  return mark !== '' && texts.every((text) => text.includes(mark)) ? { form: 'chat' } : PLAIN
}

/** What the template writes right before a user's text; empty: nothing to tell it by. */
function userMark(tokenizer: Tokenizer): string {
  if (tokenizer.chatTemplate === null) return ''
  try {
    const [before = ''] = tokenizer.applyChatTemplate([{ role: 'user', content: 'saqr?' }], { tokenize: false }).split('saqr?')
    return before.trimEnd().split('\n').at(-1)!
  } catch (error) {
    if (error instanceof SaqrError) return '' // it wants other messages
    throw error
  }
}

/** The form of prompts that are seen one after the other. */
export function formOfPrompts(): { see(prompt: string | object): void; end(): PromptForm } {
  let chat: boolean | undefined
  /** white space that ends all of them */
  let common: string | undefined
  return {
    see(prompt) {
      chat ??= typeof prompt !== 'string'
      if (chat || common === '') return
      const end = /\s*$/.exec(String(prompt))![0]
      common ??= end
      let length = 0
      while (length < Math.min(common.length, end.length) && common.at(-1 - length) === end.at(-1 - length)) length++
      common = common.slice(common.length - length)
    },
    end: () => (chat ? { form: 'chat' } : { form: 'plain', end: common ?? '' }),
  }
}

export interface Ask {
  /** the prompt in the chat template (true), or as it is (false); null: as the model was trained, else where there is a template */
  chat: boolean | null
  system: string | null
  tools: readonly unknown[] | null
}

/** Token ids of a question. @throws SaqrError OPTION_INVALID for what goes into a template where the prompt does not, and the other way round */
export function promptIds(
  tokenizer: Tokenizer,
  prompt: string | readonly Message[] | readonly number[],
  { chat, system, tools }: Ask,
  form: PromptForm | null,
): readonly number[] {
  const kind = typeof prompt === 'string' ? 'text' : typeof prompt[0] === 'object' ? 'messages' : 'ids'
  if (kind === 'messages' && chat === false)
    throw new SaqrError('OPTION_INVALID', say`messages go into the chat template: leave ${option('chat')} false out, or give a text`)
  if (kind === 'ids' && chat)
    throw new SaqrError('OPTION_INVALID', say`token ids are taken as they are: leave ${option('chat')} out, or give a text or messages`)
  const asChat = kind === 'messages' || (kind === 'text' && (chat ?? (form ? form.form === 'chat' : tokenizer.chatTemplate !== null)))
  // plain it is what the tokenizer makes of it: nothing, which is refused where it is read, or what it puts before every text
  if (prompt === '' && asChat)
    throw new SaqrError('TEXT_EMPTY', 'the prompt is empty: give it at least one character, or a message whose content is empty')
  if (asChat) {
    const said = kind === 'text' ? [{ role: 'user', content: prompt as string }] : (prompt as readonly Message[])
    const messages = system === null ? said : [{ role: 'system', content: system }, ...said]
    return tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true, tools }).ids
  }
  const lost = system !== null ? 'system' : tools !== null && tools.length > 0 ? 'tools' : null
  if (lost !== null)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option(lost)} goes into a chat template, and the prompt does not: leave it out, or ${kind === 'ids' ? 'give a text or messages' : say`set ${option('chat')} to true`}`,
    )
  if (kind === 'ids') return prompt as readonly number[]
  return tokenizer.encode(chat === false ? (prompt as string) : plainPrompt(prompt as string, form))
}

function plainPrompt(prompt: string, form: PromptForm | null): string {
  if (form?.form === 'alpaca') return alpacaPrompt(prompt, '')
  const end = form?.form === 'plain' ? form.end : ''
  return prompt.endsWith(end) ? prompt : prompt + end
}

/** What an adapter was trained over: its base as it was opened. */
export interface TrainedOver {
  load_in_4bit: boolean
}

/** Beside what was trained; what an earlier run left there goes. */
export function writePromptForm(folder: string, form: PromptForm | null, base?: TrainedOver, run: RunRecord | null = null): void {
  const path = join(folder, FILE)
  if (form === null && base === undefined && run === null) rmSync(path, { force: true })
  else
    writeFileAtomic(
      path,
      `${stringifyJson({ ...(form && { prompt: form }), ...(base && { base }), ...(run && { run }) }, { indent: 2 })}\n`,
    )
}

/** Null where nothing is said. @throws SaqrError FORMAT_JSON */
export function readTrainedOver(folder: string): TrainedOver | null {
  const path = join(folder, FILE)
  const base = isFile(path) ? readJsonObject(path).base : undefined
  return isObject(base) && typeof base.load_in_4bit === 'boolean' ? { load_in_4bit: base.load_in_4bit } : null
}

/** Null where nothing is said. @throws SaqrError FORMAT_JSON, FORMAT_PROMPT_FORM */
export function readPromptForm(folder: string): PromptForm | null {
  const path = join(folder, FILE)
  if (!isFile(path)) return null
  const { prompt } = readJsonObject(path)
  if (prompt === undefined) return null
  if (isObject(prompt)) {
    const { form, end = '' } = prompt
    if (form === 'chat' || form === 'alpaca') return { form }
    if (form === 'plain' && typeof end === 'string') return { form, end }
  }
  throw new SaqrError(
    'FORMAT_PROMPT_FORM',
    `${path}: prompt must be { "form": "chat", "alpaca" or "plain" }. Correct it, or remove the file.`,
  )
}
