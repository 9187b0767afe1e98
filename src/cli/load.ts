/** Model and rows as the options of a verb name them. */
import type { Device } from '../devices/device.ts'
import { checkBeforeWeights, checkModules, newAdapter } from '../engine/adapter-modules.ts'
import { LanguageModel } from '../engine/language-model.ts'
import { loadAdapter } from '../engine/load-adapter.ts'
import { type BaseRequest, type Known, lookUp, type OpenedBase, openBase as open } from '../engine/open-base.ts'
import { option, SaqrError, say } from '../error.ts'
import { readAdapterConfig } from '../formats/peft/config.ts'
import { readTokenizerFiles } from '../formats/tokenizer-files.ts'
import { isFile, isFolder } from '../hub/files.ts'
import { readText } from '../hub/json.ts'
import { resolveModel } from '../hub/model.ts'
import { progressLine } from '../hub/progress.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { adapterConfig, checkAdapterOptions } from '../train/options/adapter.ts'
import type { VerbOptions } from '../train/options/common.ts'
import { askedPrecision, FROZEN_4BIT, precisionIn } from '../train/options/rules.ts'
import type { Io } from './verb.ts'

export interface Opened {
  language: LanguageModel
  tokenizer: Tokenizer
  /** worth telling: the Hub could not be asked and the cache was used */
  notes: string[]
}

type ModelOptions = Pick<
  VerbOptions,
  'modelRevision' | 'dtype' | 'bf16' | 'loadIn4bit' | 'useBnbNestedQuant' | 'eosToken' | 'chatTemplatePath'
>

/** The model to train: its own adapter where it is one, a new adapter with `--use_peft`, else all weights. */
export async function openForTraining(
  o: VerbOptions,
  device: Device,
  io: Io,
  beforeWeights: BaseRequest['beforeWeights'] = undefined,
): Promise<Opened> {
  const name = o.modelNameOrPath!
  const lora = adapterConfig(o)
  const base = await openBase(name, o, device, io, precisionIn, async (tokenizer, model, adapter) => {
    checkAdapter(name, adapter, o)
    if (adapter === null && lora) checkBeforeWeights(newAdapter(lora, model), model)
    await beforeWeights?.(tokenizer, model, adapter)
  })
  if (base.adapter !== null) return { ...base, language: asked(loadAdapter(base.opened, base.adapter), base) }
  const language = new LanguageModel(base.opened, lora ? newAdapter(lora, base.opened.model) : { kind: 'full' }, o.seed)
  if (lora) checkModules(language)
  return { ...base, language: asked(language, base) }
}

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

/** in the form that the files say */
function asked(language: LanguageModel, { promptForm, run }: OpenedBase): LanguageModel {
  language.promptForm = promptForm
  language.run = run
  return language
}

/** What is known of a model to train without its weights, which are not fetched. @throws SaqrError as opening it for training does */
export async function lookUpForTraining(o: VerbOptions, io: Io): Promise<Known> {
  const name = o.modelNameOrPath!
  return await lookUp(name, { ...(await looking(o, io)), beforeWeights: (_, __, adapter) => checkAdapter(name, adapter, o) }, false)
}

/** @throws SaqrError OPTION_INVALID for options of an adapter that don't fit what was found: the folder of one, or null */
function checkAdapter(name: string, adapter: string | null, o: VerbOptions): void {
  if (adapter !== null && o.usePeft)
    throw new SaqrError('OPTION_INVALID', say`${name} is an adapter, which is trained on as it is; leave ${option('usePeft')} out`)
  checkAdapterOptions(o, adapter === null ? null : readAdapterConfig(adapter), name)
  if (o.loadIn4bit && adapter === null && !o.usePeft) throw new SaqrError('OPTION_INVALID', FROZEN_4BIT)
}

async function openBase(
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

async function looking(o: ModelOptions, { signal, err }: Io): Promise<Omit<BaseRequest, 'choice' | 'asked'>> {
  return {
    revision: o.modelRevision === 'main' ? undefined : o.modelRevision,
    signal,
    onProgress: progressLine(err),
    eosToken: o.eosToken,
    chatTemplate: o.chatTemplatePath === null ? null : await chatTemplate(o.chatTemplatePath, signal),
  }
}

/** A .jinja file, or a folder or Hub id of a tokenizer that has a template. */
export async function chatTemplate(path: string, signal: AbortSignal): Promise<string> {
  if (isFile(path)) return readText(path)
  const folder = isFolder(path) ? path : (await resolveModel(path, { signal, weights: false })).path
  const template = isFolder(folder) ? readTokenizerFiles(folder)?.chatTemplate : undefined
  if (template !== undefined) return template
  throw new SaqrError(
    'TEXT_NO_TEMPLATE',
    say`${option('chatTemplatePath')} ${path}: there is no chat template; name a .jinja file or a tokenizer with one`,
  )
}
