/**
 * Ollama's Modelfile beside a GGUF file: where it lies, the chat template in Ollama's language, what ends an answer, how tokens are drawn.
 * https://docs.ollama.com/modelfile and https://docs.ollama.com/template
 */
import { basename, join } from 'node:path'
import type { LanguageModel } from '../engine/language-model.ts'
import { writeFileAtomic } from '../hub/files.ts'
import { siblings } from '../hub/gguf-parts.ts'
import { ChatTemplate } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { askedAs } from './asked-as.ts'
import { goTemplate, type Render, type Turns, turnsOf } from './go-template.ts'

/** `Modelfile` where there is one file, `Modelfile.Q8_0` … of several. */
export const modelfileName = (files: readonly unknown[], quantization: string): string =>
  files.length === 1 ? 'Modelfile' : `Modelfile.${quantization.toUpperCase()}`

/** A Modelfile for each of the files, in their folder. @returns what is worth telling */
export function writeModelfiles(
  language: LanguageModel,
  tokenizer: Tokenizer,
  folder: string,
  files: readonly { path: string; quantization: string }[],
): string[] {
  const { template, stops, notes } = templateOf(language, tokenizer)
  for (const { path, quantization } of files) {
    const name = modelfileName(files, quantization)
    const parts = siblings(path).map((part) => basename(part))
    writeFileAtomic(join(folder, name), modelfile(parts, name, template, [...new Set(stops)], parametersOf(language)))
  }
  return notes
}

function modelfile(
  parts: readonly string[],
  name: string,
  template: string | null,
  stops: readonly string[],
  parameters: readonly string[],
): string {
  const lines = [
    `# ollama create NAME -f ${name}${parts.length > 1 ? ' (a file in parts: Ollama 0.30 or newer)' : ''}`,
    ...parts.map((file) => `FROM ./${file}`),
    ...(template === null
      ? ['# no TEMPLATE: Ollama takes the one it knows that is nearest to the file’s, or the prompt as it is']
      : [`TEMPLATE """${template}"""`]),
    ...stops.map((stop) => `PARAMETER stop "${stop}"`),
    ...parameters.map((one) => `PARAMETER ${one}`),
  ]
  return `${lines.join('\n')}\n`
}

interface Template {
  template: string | null
  stops: string[]
  notes: string[]
}

function templateOf(language: LanguageModel, tokenizer: Tokenizer): Template {
  const { promptForm, opened } = language
  const ids = [opened.checkpoint.generationConfig?.eos_token_id ?? opened.checkpoint.config.eos_token_id].flat()
  const ends = ids.flatMap((id) =>
    typeof id === 'number' && id < tokenizer.idLimit ? [tokenizer.decode([id], { skipSpecialTokens: false })] : [],
  )
  const stops = [tokenizer.eosToken, ...ends].filter((one): one is string => one !== null && quotable(one))
  const fits = (text: string, notes: string[] = []): Template => (quotable(text) ? { template: text, stops, notes } : unsaid(stops))
  const trained = askedAs(promptForm, tokenizer)
  if (trained === null && tokenizer.chatTemplate === null) return fits('{{ .Prompt }}')
  const rendered = rendererOf(tokenizer, trained)
  const turns = turnsOf(rendered(new Date()))
  const text = turns && goTemplate(withoutStart(turns, tokenizer))
  if (!turns || text === null) return unsaid(stops)
  const [closing] = special(turns.assistant[1], tokenizer)
  const told = fits(text)
  if (closing !== undefined && quotable(closing)) told.stops.push(closing)
  if (turns.place === 'nowhere')
    told.notes.push('Modelfile: the chat template has no place for a system message, and Ollama will leave one out')
  const other = turnsOf(rendered(new Date(2001, 1, 3)))
  if (JSON.stringify(other) !== JSON.stringify(turns))
    told.notes.push(
      'Modelfile: the chat template tells the day, and Ollama’s language has none: it says today’s, whenever the model is asked',
    )
  return told
}

const unsaid = (stops: string[]): Template => ({
  template: null,
  stops,
  notes: [
    'Modelfile: the chat template can’t be said in Ollama’s language, so none stands there: Ollama takes the one it knows that is nearest, or the prompt as it is',
  ],
})

/** may it stand between three quotes */
const quotable = (text: string) => !/"""|^"|"$/.test(text) && text !== ''

/** on a day */
function rendererOf(tokenizer: Tokenizer, trained: string | null): (now: Date) => Render {
  if (trained === null)
    return (now) => (messages, addGenerationPrompt) => tokenizer.applyChatTemplate(messages, { tokenize: false, addGenerationPrompt, now })
  const template = new ChatTemplate(trained)
  const special = { ...tokenizer.special, bos_token: '' } // which comes by itself
  return () => (messages, addGenerationPrompt) => template.render(messages, special, { addGenerationPrompt }).text
}

/** the token that begins a text comes by itself where the file says so */
function withoutStart(turns: Turns, tokenizer: Tokenizer): Turns {
  const { bosToken } = tokenizer
  if (!bosToken || tokenizer.encode('a')[0] !== tokenizer.bosId || tokenizer.bosId === null) return turns
  const drop = (text: string) => (text.startsWith(bosToken) ? text.slice(bosToken.length) : text)
  const { place, without, system } = turns
  return { ...turns, without: drop(without), system: place === 'before' ? [drop(system[0]), system[1]] : system }
}

/** special tokens of a text, in its order */
function special(text: string, { addedTokens }: Tokenizer): string[] {
  const found = addedTokens.filter((one) => one.special && text.includes(one.content)).map(({ content }) => content)
  return found.sort((a, b) => text.indexOf(a) - text.indexOf(b))
}

/** Where drawing is asked for, transformers draws by these what generation_config.json leaves out; Ollama has others (0.8, 40, 0.9). */
const DRAWN = { temperature: 1, top_k: 50, top_p: 1, min_p: undefined } as const

/**
 * Names are transformers' and Ollama's alike. The repetition penalty stands there always: Ollama’s own was 1.1 up to version 0.32.9, which changes greedy
 * answers too ("200 metres" that a model had learned became "20 metres").
 */
function parametersOf({ opened }: LanguageModel): string[] {
  const said = opened.checkpoint.generationConfig ?? {}
  const lines: string[] = []
  const add = (name: string, value: unknown) => {
    if (typeof value === 'number' && Number.isFinite(value)) lines.push(`${name} ${value}`)
  }
  if (said.do_sample === false) add('temperature', 0)
  else for (const [name, usual] of Object.entries(DRAWN)) add(name, said[name] ?? (said.do_sample === true ? usual : undefined))
  add('repeat_penalty', said.repetition_penalty ?? 1)
  return lines
}
