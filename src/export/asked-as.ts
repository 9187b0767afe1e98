/**
 * What was trained on Alpaca's wording or on plain text is asked so, whoever asks: such a model's chat template says the form of its rows, where the base's
 * would ask it in one that it never saw. (Jinja that llama.cpp and transformers read; a base's own template stands beside it under a name.)
 */
import { alpacaPrompt } from '../data/alpaca.ts'
import type { PromptForm } from '../data/prompt-form.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

/** the name of the base's own template in a file whose template is another */
export const BASE_TEMPLATE = 'base'

/**
 * Jinja of a conversation in the form of a model's rows: each message of the user as a row has it, each answer with the end that a row has, a system message
 * before the first of them. Null: it was trained in the chat template that it has, or nothing is known.
 */
export function askedAs(form: PromptForm | null, tokenizer: Tokenizer): string | null {
  if (form === null || form.form === 'chat') return null
  const [before, after] = form.form === 'alpaca' ? (alpacaPrompt('\0', '').split('\0') as [string, string]) : ['', form.end]
  const start = startsText(tokenizer) ? `{{ bos_token }}` : ''
  const said = (text: string) => (text === '' ? '' : `{{ ${JSON.stringify(text)} }}`)
  // what ends all prompts of the rows is not written twice
  const content =
    form.form === 'plain' && after !== '' ? `{% set text = message.content %}${ending(after)}` : '{{ system + message.content }}'
  return [
    `${start}{% set ns = namespace(system='') %}{% for message in messages %}`,
    `{% set system = ns.system %}`,
    `{% if message.role == 'system' %}{% set ns.system = system + message.content + "\\n\\n" %}`,
    `{% elif message.role == 'user' %}${said(before)}${content}${form.form === 'plain' ? '' : said(after)}{% set ns.system = '' %}`,
    `{% elif message.role == 'assistant' %}{{ message.content }}${tokenizer.eosToken === null ? '' : '{{ eos_token }}'}`,
    `{% else %}{{ raise_exception('this model was trained without messages of ' + message.role) }}`,
    `{% endif %}{% endfor %}`,
  ].join('')
}

const ending = (end: string) => {
  const text = JSON.stringify(end)
  return `{{ system + text }}{% if not text.endswith(${text}) %}{{ ${text} }}{% endif %}`
}

/** does a text of this tokenizer begin with a token of its own? */
const startsText = (tokenizer: Tokenizer) => tokenizer.bosId !== null && tokenizer.encode('a')[0] === tokenizer.bosId

const NAMES = { alpaca: 'Alpaca’s wording', plain: 'plain text' }

/**
 * Worth telling where a model has a chat template that it was not trained in.
 * @param templated has its tokenizer a chat template? @param where what is done about it
 */
export function askedNote(form: PromptForm | null, templated: boolean, where: 'gguf' | 'folder'): string[] {
  if (form === null || form.form === 'chat' || !templated) return []
  const trained = `it was trained on ${NAMES[form.form]}, not in its base’s chat template`
  return where === 'gguf'
    ? [`${trained}: the file’s template asks it as it was trained (the base’s is its tokenizer.chat_template.${BASE_TEMPLATE})`]
    : [`${trained}, which stands in the folder: saqr asks it as it was trained, and who asks by the template (vLLM) does not`]
}
