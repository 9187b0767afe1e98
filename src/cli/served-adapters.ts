/** Adapters that `saqr serve` loads beside its model, each under a name. */
import { join } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { isFile } from '../hub/files.ts'

export interface Named {
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

/** do options say something of the tokenizer? They say it of every model's */
export const tokenizerTold = ({ eosToken, chatTemplatePath }: { eosToken: string | null; chatTemplatePath: string | null }): boolean =>
  eosToken !== null || chatTemplatePath !== null
