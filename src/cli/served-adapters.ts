/** Adapters that `saqr serve` loads beside its model, each under a name. */
import { join } from 'node:path'
import { readPromptForm } from '../data/prompt-form.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { loadAdapter } from '../engine/load-adapter.ts'
import { option, SaqrError, say } from '../error.ts'
import { readTokenizerFiles } from '../formats/tokenizer-files.ts'
import { isFile } from '../hub/files.ts'
import type { Served } from '../serve/models.ts'
import { Tokenizer } from '../text/tokenizer.ts'

interface Named {
  name: string
  folder: string
}

/** @param own the model's name @throws SaqrError OPTION_INVALID, before a model is opened */
export function namedAdapters(given: readonly string[], own: string): Named[] {
  const names = new Set([own])
  return given.map((one) => {
    const [, name, folder] = /^([^=]+)=(.+)$/s.exec(one) ?? []
    if (name === undefined || folder === undefined)
      throw new SaqrError('OPTION_INVALID', say`${option('adapters')}: expected NAME=FOLDER, not ${JSON.stringify(one)}`)
    if (names.has(name))
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('adapters')}: two models would be named ${JSON.stringify(name)}; take another name`,
      )
    names.add(name)
    if (!isFile(join(folder, 'adapter_config.json')))
      throw new SaqrError(
        'FORMAT_NOT_FOUND',
        say`${option('adapters')}: ${folder} is no folder of an adapter: it has no adapter_config.json`,
      )
    return { name, folder }
  })
}

/** Each with the tokenizer that it was saved with, as where it is opened alone. @throws SaqrError FORMAT_…, TEXT_… */
export function loadAdapters(
  adapters: readonly Named[],
  { opened }: LanguageModel,
  tokenizer: Tokenizer,
  { eosToken, chatTemplatePath }: { eosToken: string | null; chatTemplatePath: string | null },
): Served[] {
  return adapters.map(({ name, folder }) => {
    const language = loadAdapter(opened, folder)
    language.promptForm = readPromptForm(folder)
    // what the options say of the tokenizer is said of every model's
    const files = eosToken === null && chatTemplatePath === null ? readTokenizerFiles(folder) : undefined
    const own = files && new Tokenizer(files, { modelType: String(opened.checkpoint.config.model_type) })
    return { name, language, tokenizer: own ?? tokenizer }
  })
}
