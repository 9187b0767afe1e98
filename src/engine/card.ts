/**
 * A model card (README.md) beside what was exported: front matter as the Hub reads it, what the files are, how they were trained, how near they are
 * to the trained model. A README.md that somebody wrote or edited is kept.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { RunRecord } from '../data/run-record.ts'
import { isObject } from '../formats/json.ts'
import { isFile, isFolder, writeFileAtomic } from '../hub/files.ts'
import { version } from '../hub/version.ts'
import { hubIdOf } from './base-name.ts'
import type { LanguageModel } from './language-model.ts'

export type CardOf = { kind: 'adapter' } | { kind: 'merged'; found: string } | { kind: 'gguf'; files: readonly GgufOf[] }

interface GgufOf {
  /** of several parts the first */
  name: string
  found: string
  /** Ollama's, beside it */
  modelfile: string
}

const NAME = 'README.md'
const MARK = /\n<!-- saqr wrote this page, and writes it anew until it is edited: ([0-9a-f]{16}) -->\n$/

/** @returns a note where a README.md is there that is kept. @throws SaqrError FORMAT_… */
export async function writeCard(language: LanguageModel, folder: string, of: CardOf): Promise<string | null> {
  const path = join(folder, NAME)
  if (existsSync(path) && !isOurs(readFileSync(path, 'utf8'))) return `${path} is kept as it is: no model card was written over it`
  const base = hubIdOf(language)
  const license = await licenseOf(language.opened.checkpoint.path)
  const { stringify } = await import('yaml')
  const text = `---\n${stringify(frontMatter(language, of, base, license))}---\n${body(language, folder, of, base)}`
  writeFileAtomic(path, `${text}\n<!-- saqr wrote this page, and writes it anew until it is edited: ${digest(text)} -->\n`)
  return null
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16)

function isOurs(text: string): boolean {
  const found = MARK.exec(text)
  return found !== null && digest(text.slice(0, found.index)) === found[1]
}

/** PEFT's and TRL's keys, in their order on the Hub's own pages */
function frontMatter({ run, adapter }: LanguageModel, { kind }: CardOf, base: string | null, license: Record<string, string>) {
  const library = { adapter: adapter.config ? 'peft' : 'transformers', merged: 'transformers', gguf: 'gguf' }[kind]
  const isAdapter = library === 'peft'
  return {
    ...(base && { base_model: base, base_model_relation: isAdapter ? 'adapter' : 'finetune' }),
    library_name: library,
    ...license,
    pipeline_tag: 'text-generation',
    ...(run && run.datasets.length > 0 && { datasets: [...run.datasets] }),
    tags: [
      ...(isAdapter && base ? [`base_model:adapter:${base}`] : []),
      ...(isAdapter ? ['lora', 'transformers'] : []),
      ...(kind === 'gguf' ? ['gguf', 'llama.cpp'] : []),
      ...(run ? ['generated_from_trainer', run.method] : []),
      'saqr',
    ],
  }
}

function body(language: LanguageModel, folder: string, of: CardOf, base: string | null): string {
  const { run } = language
  const name = basename(resolve(folder))
  const parts = [
    `\n# ${name}\n`,
    `${whatItIs(language, of, base)} It was ${run ? 'trained and ' : ''}written with saqr ${version()}.\n`,
    `## Use\n\n${use(language, of, name)}`,
    ...(run ? [`## Training\n\n${training(run)}`] : []),
    ...found(of),
  ]
  return parts.join('\n')
}

function whatItIs({ run, adapter, spec }: LanguageModel, { kind }: CardOf, base: string | null): string {
  const of = base ? `[${base}](https://huggingface.co/${base})` : 'a model from files of its own'
  const tuned = run || spec.kind !== 'none' ? 'a fine-tuned version of ' : ''
  if (kind === 'gguf') return `GGUF files, for llama.cpp and what is built on it, of ${tuned}${of}.`
  if (kind === 'merged' || !adapter.config)
    return `${tuned ? 'A fine-tuned version of ' : 'A copy of '}${of}${adapter.config ? ', its adapter merged in' : ''}.`
  return `A LoRA adapter (PEFT) over ${of}.`
}

const fence = '```'

function use({ adapter, promptForm, opened }: LanguageModel, of: CardOf, name: string): string {
  if (of.kind === 'gguf') {
    const first = of.files[0]!
    return `${fence}sh\nllama-cli -m ${first.name}\nollama create ${name.toLowerCase()} -f ${first.modelfile}\n${fence}\n`
  }
  const ours = `npx saqr generate --model_name_or_path ${name} "…"`
  const isAdapter = of.kind === 'adapter' && adapter.config !== null
  if (isAdapter && !isFolder(opened.checkpoint.path))
    return `${fence}sh\n${ours}\n${fence}\n\nIts base is a GGUF file, which PEFT does not open by its name alone.\n`
  const asked = promptForm?.form === 'chat' ? '[{"role": "user", "content": "…"}]' : '"…"'
  const [auto, library] = isAdapter ? ['AutoPeftModelForCausalLM', 'peft'] : ['AutoModelForCausalLM', 'transformers']
  return [
    `${fence}python`,
    `from ${library} import ${auto}`,
    'from transformers import AutoTokenizer, pipeline\n',
    `model, tokenizer = ${auto}.from_pretrained("${name}"), AutoTokenizer.from_pretrained("${name}")`,
    `print(pipeline("text-generation", model=model, tokenizer=tokenizer)(${asked}, max_new_tokens=128))`,
    `${fence}\n\nor \`${ours}\`.\n`,
  ].join('\n')
}

function training(run: RunRecord): string {
  const lines: [string, string][] = [
    ['method', run.method.toUpperCase()],
    ['trained', run.training],
    [
      'rows',
      `${run.rows.toLocaleString('en')}${run.datasets.length > 0 ? ` of ${run.datasets.map((one) => `[${one}](https://huggingface.co/datasets/${one})`).join(', ')}` : ''}`,
    ],
    ['steps', `${run.steps.toLocaleString('en')} (${Number(run.epochs.toFixed(2))} epochs, ${run.tokens.toLocaleString('en')} tokens)`],
    ...(run.loss === null ? [] : [['loss', `${run.loss.toFixed(4)}, the last that was logged`] as [string, string]]),
    ...(run.evalLoss === null ? [] : [['loss on held-out rows', run.evalLoss.toFixed(4)] as [string, string]]),
    ['on', run.device],
    ['with', `saqr ${run.saqr}, ${run.date}`],
  ]
  const options = Object.entries(run.options).map(([name, value]) => `\`${name}\` ${value}`)
  return `| | |\n| --- | --- |\n${lines.map(([name, value]) => `| ${name} | ${value.replaceAll('|', '\\|')} |\n`).join('')}\nOptions: ${options.join(', ')}.\n`
}

/** how near to the trained model */
function found(of: CardOf): string[] {
  const lines =
    of.kind === 'gguf'
      ? of.files.map(({ name, found }) => `- \`${name}\`: ${found}\n`)
      : of.kind === 'merged'
        ? [`${upper(of.found)}.\n`]
        : []
  return lines.length > 0 ? [`## Saved as trained\n\n${lines.join('')}`] : []
}

const upper = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** what the base's own card says of its license, where it lies beside the weights */
async function licenseOf(path: string): Promise<Record<string, string>> {
  const file = join(path, NAME)
  if (!isFolder(path) || !isFile(file)) return {}
  const [, head] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readFileSync(file, 'utf8')) ?? []
  if (head === undefined) return {}
  const { parse } = await import('yaml')
  let said: unknown
  try {
    said = parse(head)
  } catch {
    return {} // somebody's page, which says nothing that can be read
  }
  if (!isObject(said)) return {}
  const keys = ['license', 'license_name', 'license_link'] as const
  return Object.fromEntries(keys.flatMap((key) => (typeof said[key] === 'string' ? [[key, said[key]]] : [])))
}
