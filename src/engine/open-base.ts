/** A model by name: fetched if need be, opened on a device, with the tokenizer it is used with. An adapter folder opens its base. */
import { dirname, join } from 'node:path'
import type { Device } from '../devices/device.ts'
import { SaqrError } from '../error.ts'
import type { Checkpoint, TokenizerFiles } from '../formats/checkpoint.ts'
import { readAdapterConfig } from '../formats/peft/config.ts'
import { readAdapter } from '../formats/peft/read.ts'
import { readTokenizerFiles } from '../formats/tokenizer-files.ts'
import { type ResolvedModel, resolveModel } from '../hub/model.ts'
import { openCheckpoint } from '../models/checkpoint.ts'
import { Tokenizer } from '../text/tokenizer.ts'
import { adaptedBase } from './adapted-base.ts'
import { type BaseChoice, OpenModel } from './open-model.ts'
import { settle, withTensors } from './settle.ts'

export interface BaseRequest {
  /** a Hub branch, tag or commit */
  revision?: string
  token?: string
  signal?: AbortSignal
  /** what the base is held in, once its config.json is known */
  choice: (config: Readonly<Record<string, unknown>>) => BaseChoice
  /** instead of the checkpoint's: saved with what is trained, so that it is used as it was trained */
  eosToken?: string | null
  /** Jinja source */
  chatTemplate?: string | null
}

export interface OpenedBase {
  open: OpenModel
  /** folder of the adapter that was named */
  adapter: string | null
  tokenizer: Tokenizer
  /** worth telling: the Hub could not be asked and the cache was used */
  notes: string[]
}

/** @throws SaqrError FORMAT_…, HUB_…, MODEL_TOKENIZER, MODEL_BASE */
export async function openBase(name: string, device: Device, request: BaseRequest): Promise<OpenedBase> {
  const { revision, token, signal } = request
  const named = await resolveModel(name, { revision, token, signal })
  const adapter = named.kind === 'adapter' ? named.path : null
  const found = adapter === null ? named : await baseOf(adapter, request)
  const settled = settle(openCheckpoint(found.path))
  const checkpoint = adapter === null ? settled.checkpoint : adaptedBase(settled.checkpoint, readAdapter(adapter), adapter)
  // an adapter that was saved with a tokenizer was trained with it
  const files = (adapter === null ? undefined : readTokenizerFiles(adapter)) ?? tokenizerOf(checkpoint)
  const tokenizer = withChanges(files, request)
  const modelType = String(checkpoint.config.model_type)
  const { config, tensors } = checkpoint
  const open = new OpenModel(device, withTensors(checkpoint, config, tensors, tokenizer), request.choice(config))
  return {
    open,
    adapter,
    tokenizer: new Tokenizer(tokenizer, { modelType, eosToken: request.eosToken ?? undefined }),
    notes: [...new Set([named.note, found.note, ...settled.notes])].filter((note) => note !== undefined),
  }
}

/** A GGUF file without a tokenizer that can be read takes the one of the folder it lies in. @throws SaqrError MODEL_TOKENIZER */
function tokenizerOf(checkpoint: Checkpoint): TokenizerFiles {
  const { kind, path } = checkpoint
  const folder = kind === 'gguf' ? dirname(path) : path
  let why = `${path} has no tokenizer`
  try {
    if (checkpoint.tokenizer) return checkpoint.tokenizer
  } catch (error) {
    if (kind !== 'gguf' || !(error instanceof SaqrError) || error.code !== 'FORMAT_GGUF_TOKENIZER') throw error
    why = error.message.replace(/\.$/, '')
  }
  const beside = kind === 'gguf' ? readTokenizerFiles(folder) : undefined
  if (beside) return beside
  throw new SaqrError('MODEL_TOKENIZER', `${why}: put tokenizer.json and tokenizer_config.json of the model into ${folder}`)
}

/** @throws SaqrError MODEL_BASE naming the file that says which base it is, where there is none or it can't be had */
async function baseOf(folder: string, { token, signal }: BaseRequest): Promise<ResolvedModel> {
  const { baseModelNameOrPath: name, revision } = readAdapterConfig(folder)
  const file = join(folder, 'adapter_config.json')
  const how = `Write the base's path or Hub id as base_model_name_or_path into ${file}.`
  if (name === null) throw new SaqrError('MODEL_BASE', `${folder} is an adapter, but ${file} does not name its base. ${how}`)
  let base: ResolvedModel
  try {
    base = await resolveModel(name, { revision: revision ?? undefined, token, signal })
  } catch (cause) {
    if (!(cause instanceof SaqrError) || !/^(FORMAT_NOT_FOUND|FORMAT_NOT_A_MODEL|HUB_(?!TOKEN|GATED))/.test(cause.code)) throw cause
    throw new SaqrError('MODEL_BASE', `${folder} is an adapter over ${name}, which is not to be had: ${cause.message} ${how}`, { cause })
  }
  if (base.kind !== 'adapter') return base
  throw new SaqrError('MODEL_BASE', `${folder} is an adapter over ${name}, which is an adapter itself: merge that one first. ${how}`)
}

function withChanges(files: TokenizerFiles, { eosToken, chatTemplate }: BaseRequest): TokenizerFiles {
  const changed = { ...files }
  if (eosToken != null) changed.tokenizerConfig = { ...files.tokenizerConfig, eos_token: eosToken }
  if (chatTemplate != null) Object.assign(changed, { chatTemplate, chatTemplates: {} })
  return changed
}
