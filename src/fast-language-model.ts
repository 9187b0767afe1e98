/** Opening models under Unsloth's names: a checkpoint, a tokenizer, and adapters over one base. */
import type { AdapterSpec } from './adapters/choose.ts'
import { CpuDevice } from './devices/cpu/device.ts'
import type { Device } from './devices/device.ts'
import { LanguageModel } from './engine/language-model.ts'
import { loadAdapter } from './engine/load-adapter.ts'
import { OpenModel } from './engine/open-model.ts'
import { saveTrained } from './engine/save.ts'
import { SaqrError } from './error.ts'
import { saveMerged } from './export/merged.ts'
import { openCheckpoint } from './formats/checkpoint.ts'
import { type AdapterConfig, readAdapterConfig } from './formats/peft/config.ts'
import { type GenerateOptions, generate } from './generate/generate.ts'
import { resolveModel } from './hub/model.ts'
import { Tokenizer } from './text/tokenizer.ts'

export interface LoadOptions {
  /** longest row that training will cut to; default 2048 */
  maxSeqLength?: number
  /** of activations and frozen weights; default: bf16 */
  dtype?: 'bf16' | 'f32' | null
  /** NF4 base (QLoRA); default true, as Unsloth has it */
  loadIn4bit?: boolean
  /** NF4's scales quantised too; default true with loadIn4bit */
  doubleQuant?: boolean
  /** train all weights */
  fullFinetuning?: boolean
  /** of an adapter's first values; default 3407 */
  randomState?: number
  /** a Hub branch, tag or commit */
  revision?: string
  token?: string
  signal?: AbortSignal
  /** default: a CPU device of the model's own */
  device?: Device
  /** instead of the checkpoint's end-of-text token, and chat template */
  eosToken?: string | null
  chatTemplate?: string
}

/** Options of getPeftModel: PEFT's LoraConfig in camelCase; defaults are Unsloth's. */
export type PeftOptions = Partial<
  Omit<AdapterConfig, 'baseModelNameOrPath' | 'revision' | 'autoMapping' | 'inferenceMode' | 'taskType'>
> & {
  randomState?: number
}

const PROJECTIONS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']

/** An open model, trained or not. */
export class PretrainedModel {
  readonly language: LanguageModel
  readonly tokenizer: Tokenizer
  readonly #ownsDevice: boolean

  constructor(language: LanguageModel, tokenizer: Tokenizer, ownsDevice: boolean) {
    this.language = language
    this.tokenizer = tokenizer
    this.#ownsDevice = ownsDevice
  }

  /** Text that goes on from the prompt, piece by piece. */
  generate(prompt: string | readonly number[], options: GenerateOptions = {}): AsyncGenerator<string> {
    return generate(this.language, this.tokenizer, prompt, options)
  }

  /** The adapter as PEFT writes it, or the whole checkpoint where all weights are trained. */
  async savePretrained(folder: string): Promise<void> {
    await saveTrained(this.language, folder)
  }

  /** Base and adapter as one checkpoint, in the model's dtype. */
  async savePretrainedMerged(folder: string): Promise<void> {
    await saveMerged(this.language, folder)
  }

  /** Frees the adapter; the model that opened the base frees everything. Using it afterwards throws. */
  async dispose(): Promise<void> {
    this.language.disposeAdapter()
    if (this.#ownsDevice) this.language.open.device.dispose()
  }
}

export const FastLanguageModel = {
  /**
   * Opens a Hub id, a folder, a .gguf file, or a folder with a PEFT adapter (with its base).
   * @throws SaqrError MODEL_…, FORMAT_…, HUB_…
   */
  async fromPretrained(name: string, options: LoadOptions = {}): Promise<{ model: PretrainedModel; tokenizer: Tokenizer }> {
    const { revision, token, signal, loadIn4bit = true, fullFinetuning = false, randomState = 3407 } = options
    const found = await resolveModel(name, { revision, token, signal })
    const base = found.kind === 'adapter' ? await resolveModel(baseOf(found.path), { token, signal }) : found
    const checkpoint = openCheckpoint(base.path)
    if (!checkpoint.tokenizer)
      throw new SaqrError('MODEL_TOKENIZER', `${base.path} has no tokenizer: put tokenizer.json beside the weights`)
    const tokenizer = new Tokenizer(checkpoint.tokenizer, {
      modelType: String(checkpoint.config.model_type),
      eosToken: options.eosToken ?? undefined,
      chatTemplate: options.chatTemplate,
    })
    const device = options.device ?? new CpuDevice()
    try {
      const quantised = loadIn4bit && !fullFinetuning
      const choice = {
        dtype: options.dtype ?? 'bf16',
        loadIn4bit: quantised,
        doubleQuant: quantised && (options.doubleQuant ?? true),
      } as const
      const open = new OpenModel(device, checkpoint, choice)
      if (found.kind === 'adapter') {
        const language = loadAdapter(open, found.path)
        return { model: new PretrainedModel(language, tokenizer, !options.device), tokenizer }
      }
      const spec: AdapterSpec = fullFinetuning ? { kind: 'full' } : { kind: 'none' }
      return { model: new PretrainedModel(new LanguageModel(open, spec, randomState), tokenizer, !options.device), tokenizer }
    } catch (error) {
      if (!options.device) device.dispose()
      throw error
    }
  },

  /** A new model with a LoRA adapter over the same base; `model` itself stays as it is. */
  getPeftModel(model: PretrainedModel, options: PeftOptions = {}): PretrainedModel {
    const { randomState = 3407, ...config } = options
    const snake = Object.keys(options).find((key) => key.includes('_'))
    if (snake) throw new SaqrError('OPTION_UNKNOWN', `unknown option ${snake}: names are written in camelCase here`)
    const { open } = model.language
    const spec: AdapterSpec = { kind: 'lora', config: { ...LORA, ...config, baseModelNameOrPath: open.checkpoint.path } }
    return new PretrainedModel(new LanguageModel(open, spec, randomState), model.tokenizer, false)
  },
}

const LORA: AdapterConfig = {
  baseModelNameOrPath: null,
  revision: null,
  r: 16,
  loraAlpha: 16,
  loraDropout: 0,
  bias: 'none',
  useRslora: false,
  loraBias: false,
  targetModules: PROJECTIONS,
  excludeModules: null,
  modulesToSave: null,
  layersToTransform: null,
  layersPattern: null,
  rankPattern: {},
  alphaPattern: {},
  initLoraWeights: true,
  taskType: 'CAUSAL_LM',
  autoMapping: null,
  inferenceMode: false,
}

function baseOf(folder: string): string {
  const { baseModelNameOrPath } = readAdapterConfig(folder)
  if (baseModelNameOrPath) return baseModelNameOrPath
  throw new SaqrError(
    'MODEL_BASE',
    `${folder} is an adapter whose adapter_config.json names no base_model_name_or_path: write the base's id or path there`,
  )
}
