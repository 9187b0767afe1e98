/** Model and rows as the options of `saqr sft` name them. */
import { Dataset, loadDataset } from '../data/dataset.ts'
import type { Device } from '../devices/device.ts'
import { LanguageModel } from '../engine/language-model.ts'
import { SaqrError } from '../error.ts'
import { FastLanguageModel, PretrainedModel } from '../fast-language-model.ts'
import { readConfig } from '../formats/checkpoint.ts'
import { readTokenizerFiles } from '../formats/tokenizer-files.ts'
import { resolveDataset } from '../hub/dataset.ts'
import { isFile, isFolder } from '../hub/files.ts'
import { readText } from '../hub/json.ts'
import { type ResolvedModel, resolveModel } from '../hub/model.ts'
import { adapterConfig } from '../train/options/adapter.ts'
import { precisionIn } from '../train/options/rules.ts'
import type { SftOptions } from '../train/options/sft.ts'

export interface Opened {
  model: PretrainedModel
  /** worth telling: the Hub could not be asked and the cache was used */
  notes: string[]
}

type ModelOptions = Pick<
  SftOptions,
  'modelRevision' | 'dtype' | 'bf16' | 'loadIn4bit' | 'useBnbNestedQuant' | 'eosToken' | 'chatTemplatePath' | 'seed'
>

/** The model to train: its own adapter where it is one, a new adapter with `--use_peft`, else all weights. */
export async function openForTraining(o: SftOptions, device: Device, signal: AbortSignal): Promise<Opened> {
  const found = await find(o.modelNameOrPath!, o.modelRevision, signal)
  const lora = adapterConfig(o)
  if (found.kind === 'adapter' && lora)
    throw new SaqrError('OPTION_INVALID', `${o.modelNameOrPath} is an adapter, which is trained on as it is; leave --use_peft out`)
  if (o.loadIn4bit && !lora && found.kind !== 'adapter')
    throw new SaqrError('OPTION_INVALID', 'the weights of a 4-bit base can’t be trained; add --use_peft, or leave --load_in_4bit out')
  const full = !lora && found.kind !== 'adapter'
  const { model, notes } = await open(found, o.modelNameOrPath!, o, device, signal, full)
  if (!lora) return { model, notes }
  const language = new LanguageModel(model.language.open, { kind: 'lora', config: lora }, o.seed)
  return { model: new PretrainedModel(language, model.tokenizer, false), notes }
}

/** The model as it is: a checkpoint, or an adapter over its base. */
export async function openForGeneration(name: string, o: ModelOptions, device: Device, signal: AbortSignal): Promise<Opened> {
  return await open(await find(name, o.modelRevision, signal), name, o, device, signal, false)
}

function find(name: string, revision: string, signal: AbortSignal): Promise<ResolvedModel> {
  return resolveModel(name, { revision: revision === 'main' ? undefined : revision, signal })
}

async function open(
  found: ResolvedModel,
  name: string,
  o: ModelOptions,
  device: Device,
  signal: AbortSignal,
  full: boolean,
): Promise<Opened> {
  const { model } = await FastLanguageModel.fromPretrained(name, {
    revision: o.modelRevision === 'main' ? undefined : o.modelRevision,
    dtype: found.kind === 'adapter' ? precisionIn(o, {}) : precisionIn(o, readConfig(found.path)),
    loadIn4bit: o.loadIn4bit,
    doubleQuant: o.useBnbNestedQuant,
    fullFinetuning: full,
    randomState: o.seed,
    eosToken: o.eosToken,
    chatTemplate: o.chatTemplatePath === null ? undefined : await chatTemplate(o.chatTemplatePath, signal),
    device,
    signal,
  })
  return { model, notes: found.note ? [found.note] : [] }
}

/** A .jinja file, or a folder or Hub id of a tokenizer that has a template. */
async function chatTemplate(path: string, signal: AbortSignal): Promise<string> {
  if (isFile(path)) return readText(path)
  const folder = isFolder(path) ? path : (await resolveModel(path, { signal })).path
  const template = isFolder(folder) ? readTokenizerFiles(folder)?.chatTemplate : undefined
  if (template === undefined)
    throw new SaqrError(
      'TEXT_NO_TEMPLATE',
      `--chat_template_path ${path}: there is no chat template; name a .jinja file or a tokenizer with one`,
    )
  return template
}

/** Rows of a file, a folder or a Hub data set. */
export async function loadRows(name: string, config: string | null, split: string, signal: AbortSignal): Promise<Dataset> {
  const { files } = await resolveDataset(name, { config: config ?? undefined, split, signal })
  if (files.length === 1) return await loadDataset(files[0]!)
  const parts = []
  for (const file of files) parts.push(await loadDataset(file))
  return new Dataset(
    parts.flatMap((part) => part.rows),
    `${name} (${split}, ${files.length} files)`,
  )
}
