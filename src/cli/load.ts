/** A model as the options of a verb name it, to be asked. */
import type { Device } from '../devices/device.ts'
import { LanguageModel } from '../engine/language-model.ts'
import { loadAdapter } from '../engine/load-adapter.ts'
import { type BaseRequest, type OpenedBase, openBase as open } from '../engine/open-base.ts'
import { option, SaqrError, say } from '../error.ts'
import { readTokenizerFiles } from '../formats/tokenizer-files.ts'
import { isFile, isFolder } from '../hub/files.ts'
import { readText } from '../hub/json.ts'
import { resolveModel } from '../hub/model.ts'
import { shownOf } from '../hub/progress.ts'
import { namedTemplate, templateNames } from '../text/named-templates.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { VerbOptions } from '../train/options/common.ts'
import { askedPrecision, type precisionIn } from '../train/options/precision-in.ts'
import type { Io } from './verb.ts'

export interface Opened {
  language: LanguageModel
  tokenizer: Tokenizer
  /** worth telling: the Hub could not be asked and the cache was used */
  notes: string[]
}

export type ModelOptions = Pick<
  VerbOptions,
  'modelRevision' | 'dtype' | 'bf16' | 'loadIn4bit' | 'useBnbNestedQuant' | 'eosToken' | 'chatTemplatePath'
>

/** The model as it is: a checkpoint, or an adapter over its base. @param only nothing else is done with it */
export async function openForGeneration(name: string, o: ModelOptions, device: Device, io: Io, only = false): Promise<Opened> {
  askedPrecision(o, {}) // before anything is fetched
  const base = await openBase(name, o, device, io, askedPrecision, undefined, only)
  return {
    ...base,
    language: asked(
      base.adapter === null ? new LanguageModel(base.opened, { kind: 'none' }, 0) : loadAdapter(base.opened, base.adapter),
      base,
    ),
  }
}

/** In the form that the files say. */
export function asked(language: LanguageModel, { promptForm, run }: OpenedBase): LanguageModel {
  language.promptForm = promptForm
  language.run = run
  return language
}

/** @param only nothing else is done with it */
export async function openBase(
  name: string,
  o: ModelOptions,
  device: Device,
  io: Io,
  precision: typeof precisionIn,
  beforeWeights?: BaseRequest['beforeWeights'],
  only = false,
): Promise<OpenedBase> {
  return await open(name, device, {
    ...(await looking(o, io)),
    beforeWeights,
    asked: only,
    choice: (config) => ({ dtype: precision(o, config), loadIn4bit: o.loadIn4bit, doubleQuant: o.useBnbNestedQuant }),
  })
}

/** What the options say of where a model is and how it is read. */
export async function looking(o: ModelOptions, { signal, err }: Io): Promise<Omit<BaseRequest, 'choice' | 'asked'>> {
  return {
    revision: o.modelRevision === 'main' ? undefined : o.modelRevision,
    signal,
    ...shownOf(err),
    eosToken: o.eosToken,
    chatTemplate: o.chatTemplatePath === null ? null : await chatTemplate(o.chatTemplatePath, signal),
  }
}

/** A .jinja file, the name of a template, or a folder or Hub id of a tokenizer that has one. */
export async function chatTemplate(path: string, signal: AbortSignal): Promise<string> {
  if (isFile(path)) return readText(path)
  const named = isFolder(path) ? undefined : namedTemplate(path)
  if (named !== undefined) return named
  const folder = isFolder(path) ? path : (await resolveModel(path, { signal, weights: false })).path
  const template = isFolder(folder) ? readTokenizerFiles(folder)?.chatTemplate : undefined
  if (template !== undefined) return template
  throw new SaqrError(
    'TEXT_NO_TEMPLATE',
    say`${option('chatTemplatePath')} ${path}: there is no chat template; name a .jinja file, one of ${templateNames.join(', ')}, or a tokenizer with one`,
  )
}
