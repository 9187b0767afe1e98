/** The tokenizer files of a Hugging Face folder, put together by the rules of transformers. Making token ids of them is text/'s. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { makeFolder } from '../hub/files.ts'
import { isFile, isFolder, writeFileAtomic } from './files.ts'
import { isObject, type JsonObject, jsonLine, readJsonObject, readText } from './json.ts'
import { withKeys } from './json-exact.ts'
import type { TokenizerFiles } from './tensor.ts'
import { tiktokenTokenizer } from './tiktoken.ts'

/** of models whose tokenizer.json is made here */
const TIKTOKEN = 'tiktoken.model'

/** Undefined where the folder has no tokenizer at all. Errors: FORMAT_TOKENIZER for one we can't read. */
export function readTokenizerFiles(folder: string): TokenizerFiles | undefined {
  const has = (name: string) => isFile(join(folder, name))
  const read = (name: string) => readJsonObject(join(folder, name))
  if (!has('tokenizer.json') && !has(TIKTOKEN)) {
    const other = ['tokenizer.model', 'spiece.model', 'tekken.json', 'vocab.json', 'vocab.txt'].find(has)
    if (!other) return undefined
    throw new SaqrError(
      'FORMAT_TOKENIZER',
      `${folder} has ${other} but no tokenizer.json. Make one in Python: AutoTokenizer.from_pretrained(folder).save_pretrained(folder).`,
    )
  }
  let config = has('tokenizer_config.json') ? read('tokenizer_config.json') : {}
  // transformers reads the older file only where the newer one does not list the added tokens
  if (!('added_tokens_decoder' in config) && has('special_tokens_map.json')) config = withKeys(config, read('special_tokens_map.json'))
  if (!has('tokenizer.json')) {
    const path = join(folder, TIKTOKEN)
    const made = tiktokenTokenizer(readText(path), config, path)
    return withTemplates(made.json, made.config, templateFiles(folder), folder)
  }
  // no number in it is a float, and it can be large
  return withTemplates(readJsonObject(join(folder, 'tokenizer.json'), { exact: false }), config, templateFiles(folder), folder)
}

/** Made once for every checkpoint of a run: a vocabulary as JSON takes V8 tens of MB on the way. */
const texts = new WeakMap<TokenizerFiles, readonly (readonly [name: string, text: Uint8Array])[]>()

/** folder of the templates that have a name */
const NAMED = 'additional_chat_templates'

/** a tokenizer's files as they are written */
export function tokenizerTexts(files: TokenizerFiles): readonly (readonly [name: string, text: Uint8Array])[] {
  let made = texts.get(files)
  if (!made) {
    const { tokenizerJson, tokenizerConfig, chatTemplate, chatTemplates = {} } = files
    const json = (value: unknown) => jsonLine(value, { indent: 2 })
    made = [
      ['tokenizer.json', json(tokenizerJson)],
      ['tokenizer_config.json', json(withKeys(tokenizerConfig, { chat_template: undefined }))],
      ...(chatTemplate === undefined ? [] : [['chat_template.jinja', Buffer.from(chatTemplate)] as const]),
      ...Object.entries(chatTemplates).map(([name, template]) => {
        if (!/^[\w-][\w.-]*$/.test(name))
          throw new SaqrError('FORMAT_TOKENIZER', `the chat template ${JSON.stringify(name)} can't be a file of that name`)
        return [`${NAMED}/${name}.jinja`, Buffer.from(template)] as const
      }),
    ]
    texts.set(files, made)
  }
  return made
}

/** A tokenizer's files, as `readTokenizerFiles` finds them again. */
export function writeTokenizer(folder: string, files: TokenizerFiles): void {
  if (Object.keys(files.chatTemplates ?? {}).length > 0) makeFolder(join(folder, NAMED))
  for (const [name, text] of tokenizerTexts(files)) writeFileAtomic(join(folder, name), text)
}

/** Template files count before what tokenizer_config.json holds. */
function templateFiles(folder: string): Record<string, string> {
  const templates: Record<string, string> = {}
  const file = join(folder, 'chat_template.jinja')
  if (isFile(file)) templates.default = readText(file)
  const more = join(folder, 'additional_chat_templates')
  for (const name of isFolder(more) ? readdirSync(more).sort() : []) {
    if (name.endsWith('.jinja')) templates[name.slice(0, -'.jinja'.length)] = readText(join(more, name))
  }
  return templates
}

function withTemplates(tokenizerJson: JsonObject, config: JsonObject, files: Record<string, string>, folder: string): TokenizerFiles {
  const given = config.chat_template
  const tokenizerConfig = withKeys(config, { chat_template: undefined })
  let templates = files
  if (Object.keys(files).length === 0) templates = configTemplates(given, join(folder, 'tokenizer_config.json'))
  const legacy = join(folder, 'chat_template.json')
  if (Object.keys(templates).length === 0 && isFile(legacy)) templates = configTemplates(readJsonObject(legacy).chat_template, legacy)
  const { default: chatTemplate, ...chatTemplates } = templates
  return { tokenizerJson, tokenizerConfig, chatTemplate, chatTemplates }
}

/** A template, or a list of named ones. */
function configTemplates(value: unknown, path: string): Record<string, string> {
  if (value === undefined || value === null) return {}
  if (typeof value === 'string') return { default: value }
  const named = (v: unknown): v is { name: string; template: string } =>
    isObject(v) && typeof v.name === 'string' && typeof v.template === 'string'
  if (Array.isArray(value) && value.every(named)) return Object.fromEntries(value.map((t) => [t.name, t.template]))
  throw new SaqrError('FORMAT_TOKENIZER', `${path}: chat_template must be a template or a list of { name, template }.`)
}
