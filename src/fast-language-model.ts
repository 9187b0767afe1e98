/** Opening models under Unsloth's names: a checkpoint, a tokenizer, and adapters over one base. */
import type { AdapterSpec } from './adapters/choose.ts'
import { CpuDevice } from './devices/cpu/device.ts'
import type { Device } from './devices/device.ts'
import { LanguageModel } from './engine/language-model.ts'
import { loadAdapter } from './engine/load-adapter.ts'
import { openBase } from './engine/open-base.ts'
import type { OpenModel } from './engine/open-model.ts'
import { saveTrained } from './engine/save.ts'
import { option, SaqrError, say } from './error.ts'
import { saveMerged } from './export/merged.ts'
import { type AdapterConfig, loraConfig } from './formats/peft/config.ts'
import { type GenerateOptions, generate } from './generate/generate.ts'
import { nearest } from './hub/nearest.ts'
import type { Tokenizer } from './text/tokenizer.ts'
import { camel } from './train/options/field.ts'

export interface LoadOptions {
  /** tokens that training cuts rows to, unless its maxLength says otherwise; default 2048 */
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

/** what a model frees beside its adapter: a base on the user's own device, or the device with all on it */
type Owned = 'nothing' | 'base' | 'device'

/** An open model, trained or not. */
export class PretrainedModel {
  readonly language: LanguageModel
  readonly tokenizer: Tokenizer
  /** tokens that rows are cut to unless the trainer is told otherwise */
  readonly maxSeqLength: number
  /** as it was opened: what adapter_config.json names as its base */
  readonly name: string
  readonly #owns: Owned

  constructor(language: LanguageModel, tokenizer: Tokenizer, maxSeqLength: number, name: string, owns: Owned) {
    this.language = language
    this.tokenizer = tokenizer
    this.maxSeqLength = maxSeqLength
    this.name = name
    this.#owns = owns
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
    if (this.#owns === 'nothing') return
    this.language.open.dispose()
    if (this.#owns === 'device') this.language.open.device.dispose()
  }
}

export const FastLanguageModel = {
  /**
   * Opens a Hub id, a folder, a .gguf file, or a folder with a PEFT adapter (with its base).
   * @throws SaqrError MODEL_…, FORMAT_…, HUB_…
   */
  async fromPretrained(name: string, options: LoadOptions = {}): Promise<{ model: PretrainedModel; tokenizer: Tokenizer }> {
    known(options, LOAD_KEYS)
    const { loadIn4bit = true, fullFinetuning = false, randomState = 3407, maxSeqLength = 2048 } = options
    if (!(Number.isInteger(maxSeqLength) && maxSeqLength > 0)) invalid('maxSeqLength', maxSeqLength, 'a whole number above 0')
    const device = options.device ?? new CpuDevice()
    let base: OpenModel | undefined
    try {
      const loadedIn4bit = loadIn4bit && !fullFinetuning
      const choice = {
        dtype: options.dtype ?? 'bf16',
        loadIn4bit: loadedIn4bit,
        doubleQuant: loadedIn4bit && (options.doubleQuant ?? true),
      } as const
      const { open, adapter, tokenizer } = await openBase(name, device, { ...options, choice: () => choice })
      base = open
      if (adapter !== null && fullFinetuning) {
        throw new SaqrError(
          'OPTION_INVALID',
          say`${name} is an adapter, which is trained on as it is: leave ${option('fullFinetuning')} out, or merge it first`,
        )
      }
      const spec: AdapterSpec = fullFinetuning ? { kind: 'full' } : { kind: 'none' }
      const language = adapter === null ? new LanguageModel(open, spec, randomState) : loadAdapter(open, adapter)
      return { model: new PretrainedModel(language, tokenizer, maxSeqLength, name, options.device ? 'base' : 'device'), tokenizer }
    } catch (error) {
      base?.dispose()
      if (!options.device) device.dispose()
      throw error
    }
  },

  /** A new model with a LoRA adapter over the same base; `model` itself stays as it is. */
  getPeftModel(model: PretrainedModel, options: PeftOptions = {}): PretrainedModel {
    known(options, [...Object.keys(LORA), 'randomState'])
    const { randomState = 3407, ...given } = options
    const { checkpoint } = model.language.open
    if (checkpoint.adapter !== undefined)
      throw new SaqrError(
        'OPTION_INVALID',
        `the base of this model holds weights of the adapter ${checkpoint.adapter.folder}, which a new adapter would not name: merge it first (savePretrainedMerged)`,
      )
    const targetModules = [...model.language.open.model.linears]
    const config: AdapterConfig = { ...LORA, targetModules, ...given, baseModelNameOrPath: model.name }
    checkLora(config)
    return new PretrainedModel(
      new LanguageModel(model.language.open, { kind: 'lora', config }, randomState),
      model.tokenizer,
      model.maxSeqLength,
      model.name,
      'nothing',
    )
  },
}

/** Unsloth's defaults; the modules are the family's linears */
const LORA = loraConfig({ r: 16, loraAlpha: 16, targetModules: [] })

const LOAD_KEYS = [
  'maxSeqLength',
  'dtype',
  'loadIn4bit',
  'doubleQuant',
  'fullFinetuning',
  'randomState',
  'revision',
  'token',
  'signal',
  'device',
  'eosToken',
  'chatTemplate',
] as const satisfies readonly (keyof LoadOptions)[]

/** @throws SaqrError OPTION_UNKNOWN with the nearest name */
function known(options: object, keys: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (keys.includes(key)) continue
    const camelCase = camel(key)
    const meant = keys.includes(camelCase) ? camelCase : nearest(key, keys)
    throw new SaqrError('OPTION_UNKNOWN', `unknown option ${key}${meant ? `: did you mean ${meant}?` : ''}`)
  }
}

function checkLora({ r, loraAlpha, loraDropout, bias, initLoraWeights, trainableTokenIndices }: AdapterConfig): void {
  if (trainableTokenIndices !== null)
    invalid('trainableTokenIndices', trainableTokenIndices, 'null (single rows of the embedding are not trained here)')
  if (!(Number.isInteger(r) && r > 0)) invalid('r', r, 'a whole number above 0')
  if (!Number.isFinite(loraAlpha)) invalid('loraAlpha', loraAlpha, 'a number')
  if (!(loraDropout >= 0 && loraDropout < 1)) invalid('loraDropout', loraDropout, 'at least 0 and below 1')
  if (!['none', 'all', 'lora_only'].includes(bias)) invalid('bias', bias, 'none, all or lora_only')
  if (initLoraWeights !== true) invalid('initLoraWeights', initLoraWeights, 'true (other initialisations are not supported yet)')
}

function invalid(name: string, value: unknown, expected: string): never {
  throw new SaqrError('OPTION_INVALID', say`${option(name)} is ${JSON.stringify(value) ?? value}; expected ${expected}`)
}
