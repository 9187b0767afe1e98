/** A model by name: fetched if need be, opened on a device, with the tokenizer it is used with. An adapter folder opens its base. */
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { withoutInput } from '../adapters/whole-tensors.ts'
import { type PromptForm, readPromptForm, readTrainedOver, type TrainedOver } from '../data/prompt-form.ts'
import { type RunRecord, readRunRecord } from '../data/run-record.ts'
import { fromBlocks } from '../devices/cpu/ggml-blocks.ts'
import type { Device } from '../devices/device.ts'
import { SaqrError, say } from '../error.ts'
import type { TokenizerFiles } from '../formats/checkpoint.ts'
import { withKeys } from '../formats/json-exact.ts'
import { readAdapterConfig } from '../formats/peft/config.ts'
import type { Adapter } from '../formats/peft/read.ts'
import { readTokenizerFiles } from '../formats/tokenizer-files.ts'
import { type ResolvedModel, resolveModel } from '../hub/model.ts'
import type { HubOptions } from '../hub/places.ts'
import { openCheckpoint, readConfig } from '../models/checkpoint.ts'
import type { Model } from '../models/family.ts'
import { families, openConfig } from '../models/registry.ts'
import { Tokenizer } from '../text/tokenizer.ts'
import { adaptedBase } from './adapted-base.ts'
import { checkLoadable, settledSpec } from './adapter-modules.ts'
import { readAdapterOver } from './adapter-names.ts'
import { type BaseChoice, OpenedModel } from './opened-model.ts'
import { parametersOf, settle, withTensors } from './settle.ts'

export interface BaseRequest {
  /** a Hub branch, tag or commit */
  revision?: string
  token?: string
  signal?: AbortSignal
  onProgress?: HubOptions['onProgress']
  onWait?: HubOptions['onWait']
  /** what the base is held in, once its config.json is known */
  choice: (config: Readonly<Record<string, unknown>>, trainedOver: TrainedOver | null) => BaseChoice
  /** it is only asked, as it is: a base without an adapter keeps GGUF's blocks (`BaseChoice.inBlocks`) */
  asked?: boolean
  /** instead of the checkpoint's: saved with what is trained, so that it is used as it was trained */
  eosToken?: string | null
  /** Jinja source */
  chatTemplate?: string | null
  /** what needs tokenizer, configuration and the adapter's folder alone: it fails before weights are fetched or read */
  beforeWeights?: (tokenizer: Tokenizer, model: Model, adapter: string | null) => void | Promise<void>
}

export interface OpenedBase {
  opened: OpenedModel
  /** folder of the adapter that was named */
  adapter: string | null
  tokenizer: Tokenizer
  /** how the model is asked, as it was trained; null: nothing says */
  promptForm: PromptForm | null
  /** how it was trained; null: nothing says */
  run: RunRecord | null
  /** worth telling: the Hub could not be asked and the cache was used */
  notes: string[]
}

/** A model without its weights. */
export interface Known {
  /** of what was named, or of the base under an adapter */
  found: ResolvedModel
  /** folder of the adapter that was named */
  adapter: string | null
  model: Model
  tokenizer: Tokenizer
  /** what the tokenizer was made of */
  files: TokenizerFiles
  /** worth telling */
  notes: string[]
}

type Looking = Omit<BaseRequest, 'choice' | 'asked'>

/** @throws SaqrError FORMAT_…, HUB_…, MODEL_UNSUPPORTED, MODEL_TOKENIZER, MODEL_BASE */
export async function openBase(name: string, device: Device, request: BaseRequest): Promise<OpenedBase> {
  const { adapter, found, files, tokenizer, notes } = await lookUp(name, request, true)
  const settled = settle(openCheckpoint(found.path, fromBlocks))
  const read = adapter === null ? null : readAdapterOver(adapter, settled.model)
  const checkpoint = read === null ? settled.checkpoint : adaptedBase(settled.checkpoint, read, adapter!)
  const { config, tensors } = checkpoint
  const trainedOver = adapter === null ? null : readTrainedOver(adapter)
  const choice = { ...request.choice(config, trainedOver), inBlocks: request.asked === true && adapter === null }
  const story = adapter ?? (found.kind === 'model' ? found.path : null)
  return {
    opened: new OpenedModel(device, withTensors(checkpoint, config, tensors, files), choice),
    adapter,
    tokenizer,
    promptForm: story === null ? null : readPromptForm(story),
    run: story === null ? null : readRunRecord(story),
    notes: [
      ...new Set([...notes, ...settled.notes, ...overAnother(adapter, trainedOver, choice), ...idleDropout(adapter, read, settled.model)]),
    ],
  }
}

/** Of an adapter as transformers 4 had them: what dropped the inputs of each expert's linears has nothing to act on in a tensor of all. */
function idleDropout(folder: string | null, adapter: Adapter | null, model: Model): string[] {
  if (!adapter || adapter.config.loraDropout === 0) return []
  const spec = settledSpec({ kind: 'lora', config: adapter.config }, model)
  const name = spec.kind === 'lora' ? withoutInput(spec.config, parametersOf(model).keys()) : undefined
  if (name === undefined) return []
  return [
    `${folder}: ${name} gets a low-rank part as a whole, where PEFT has no lora_dropout (${adapter.config.loraDropout}): it can be used and merged, not trained on as it is, and saved again it has lora_dropout 0`,
  ]
}

/** The same adapter over other numbers of its base gives other answers. */
function overAnother(adapter: string | null, trained: TrainedOver | null, { loadIn4bit, dtype }: BaseChoice): string[] {
  if (trained === null || trained.load_in_4bit === loadIn4bit) return []
  const [then, now] = trained.load_in_4bit ? ['in 4 bits', `in ${dtype}`] : ['unquantised', 'in 4 bits']
  return [
    `${adapter} was trained over its base ${then}, and here it is over the base ${now}, so answers may differ: load_in_4bit ${trained.load_in_4bit} opens it as it was trained`,
  ]
}

/**
 * What is known of a model by its small files. @param weights are they fetched too? They are not read
 * @throws SaqrError as `openBase`
 */
export async function lookUp(name: string, request: Looking, weights: boolean): Promise<Known> {
  const { revision, token, signal, onProgress, onWait } = request
  let known: Pick<Known, 'files' | 'tokenizer' | 'model'> | undefined
  const beforeWeights = async (found: ResolvedModel, adapter: string | null) => {
    const config = readConfig(found.path)
    const model = openSupported(config, found.id ?? found.path)
    // an adapter that was saved with a tokenizer was trained with it
    const files = withChanges((adapter === null ? undefined : readTokenizerFiles(adapter)) ?? tokenizerOf(found), request)
    const tokenizer = new Tokenizer(files, { modelType: String(config.model_type), eosToken: request.eosToken ?? undefined })
    known = { files, tokenizer, model }
    if (adapter !== null) checkLoadable(adapter, { model, base: found.id ?? found.path, file: weights })
    await request.beforeWeights?.(tokenizer, model, adapter)
  }
  const named = await resolveModel(name, {
    revision,
    token,
    signal,
    onProgress,
    onWait,
    weights,
    beforeWeights: (found) => (found.kind === 'adapter' ? undefined : beforeWeights(found, null)),
  })
  const adapter = named.kind === 'adapter' ? named.path : null
  const found = adapter === null ? named : await baseOf(adapter, request, weights, (base) => beforeWeights(base, adapter))
  return { ...known!, found, adapter, notes: [named.note, found.note].filter((note) => note !== undefined) }
}

/** The family's model of a config.json. @throws SaqrError MODEL_UNSUPPORTED, also for images beside text; MODEL_CONFIG */
function openSupported(config: Readonly<Record<string, unknown>>, name: string): Model {
  const family = families.find(({ modelType }) => modelType === config.model_type)
  const other = (['vision_config', 'audio_config'] as const).find((key) => config[key] && !family?.beside?.includes(key))
  if (other === undefined) return openConfig(config)
  const what = other === 'vision_config' ? 'images' : 'sound'
  throw new SaqrError(
    'MODEL_UNSUPPORTED',
    `${name} (model_type ${JSON.stringify(config.model_type)}) is a model of ${what} and text, and saqr trains models of text alone: ${families.map((f) => f.modelType).join(', ')}`,
  )
}

/** A GGUF file without a tokenizer that can be read takes the one of the folder it lies in. @throws SaqrError MODEL_TOKENIZER */
function tokenizerOf({ kind, path }: ResolvedModel): TokenizerFiles {
  const folder = kind === 'gguf' ? dirname(path) : path
  let why = `${path} has no tokenizer`
  try {
    const files = kind === 'gguf' ? openCheckpoint(path).tokenizer : readTokenizerFiles(path)
    if (files) return files
  } catch (error) {
    if (kind !== 'gguf' || !(error instanceof SaqrError) || error.code !== 'FORMAT_GGUF_TOKENIZER') throw error
    why = error.message.replace(/\.$/, '')
  }
  const beside = kind === 'gguf' ? readTokenizerFiles(folder) : undefined
  if (beside) return beside
  throw new SaqrError('MODEL_TOKENIZER', `${why}: put tokenizer.json and tokenizer_config.json of the model into ${folder}`)
}

/** @throws SaqrError MODEL_BASE naming the file that says which base it is, where there is none or it can't be had */
async function baseOf(
  folder: string,
  { token, signal, onProgress, onWait }: Looking,
  weights: boolean,
  beforeWeights: (base: ResolvedModel) => Promise<void>,
): Promise<ResolvedModel> {
  const { baseModelNameOrPath: name, revision } = readAdapterConfig(folder)
  const file = join(folder, 'adapter_config.json')
  const how = `Write the base's path or Hub id as base_model_name_or_path into ${file}.`
  if (name === null) throw new SaqrError('MODEL_BASE', `${folder} is an adapter, but ${file} does not name its base. ${how}`)
  // a folder that holds both: PEFT reads the adapter over the weights beside it
  if (isModelFolder(name, folder)) {
    const both: ResolvedModel = { kind: 'model', path: folder }
    await beforeWeights(both)
    return both
  }
  const another = `${folder} is an adapter over ${name}, which is an adapter itself: merge that one first. ${how}`
  try {
    return await resolveModel(name, {
      revision: revision ?? undefined,
      token,
      signal,
      onProgress,
      onWait,
      weights,
      async beforeWeights(base) {
        if (base.kind === 'adapter') throw new SaqrError('MODEL_BASE', another)
        await beforeWeights(base)
      },
    })
  } catch (cause) {
    if (!(cause instanceof SaqrError) || !/^(FORMAT_NOT_FOUND|FORMAT_NOT_A_MODEL|HUB_(?!TOKEN|GATED))/.test(cause.code)) throw cause
    throw new SaqrError('MODEL_BASE', say`${folder} is an adapter over ${name}, which is not to be had: ${cause.said} ${how}`, { cause })
  }
}

/** Is the base that an adapter names the folder it lies in, weights and all? */
function isModelFolder(base: string, folder: string): boolean {
  return existsSync(base) && realpathSync(base) === realpathSync(folder) && existsSync(join(folder, 'config.json'))
}

function withChanges(files: TokenizerFiles, { eosToken, chatTemplate }: Looking): TokenizerFiles {
  const changed = { ...files }
  if (eosToken != null) changed.tokenizerConfig = withKeys(files.tokenizerConfig, { eos_token: eosToken })
  if (chatTemplate != null) Object.assign(changed, { chatTemplate, chatTemplates: {} })
  return changed
}
