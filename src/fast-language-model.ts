/** Opening models under Unsloth's names: a checkpoint, a tokenizer, and adapters over one base. */
import type { Adapter } from './adapters/adapter.ts'
import type { AdapterSpec } from './adapters/choose.ts'
import type { TrainedOver } from './data/prompt-form.ts'
import type { Device } from './devices/device.ts'
import { openDevice } from './devices/open.ts'
import { checkModules, newAdapter } from './engine/adapter-modules.ts'
import { asSettled } from './engine/asked-again.ts'
import { LanguageModel } from './engine/language-model.ts'
import { loadAdapter } from './engine/load-adapter.ts'
import { openBase } from './engine/open-base.ts'
import type { OpenedModel } from './engine/opened-model.ts'
import { option, SaqrError, say } from './error.ts'
import type { AdapterConfig } from './formats/peft/config.ts'
import { filled, shown, take, takeOptions } from './hub/arguments.ts'
import { isFile, isFolder } from './hub/files.ts'
import { ON_PATH } from './hub/need.ts'
import { shownOf } from './hub/progress.ts'
import { LOAD, LOAD_RENAMED, LORA, type LoadOptions, PEFT, type PeftOptions } from './model-options.ts'
import { PretrainedModel } from './pretrained-model.ts'
import { templateOf } from './text/named-templates.ts'
import type { Tokenizer } from './text/tokenizer.ts'
import { refuseOther } from './train/options/adapter.ts'

/** What fromPretrained gives. */
export interface Opened {
  /** generates as it is; getPeftModel gives one that is trained */
  model: PretrainedModel
  /** the model’s own, with its chat template */
  tokenizer: Tokenizer
}

/** Opens models and adapters, under Unsloth’s names. */
export const FastLanguageModel = {
  /**
   * Opens a Hub id, a folder, a .gguf file, or a folder with a PEFT adapter (with its base).
   * @param name also as `{ modelName, … }`, with all other options
   * @throws SaqrError OPTION_…, MODEL_…, FORMAT_…, HUB_…, DEVICE_…
   */
  async fromPretrained(name: string | (LoadOptions & { modelName: string }), options?: LoadOptions): Promise<Opened> {
    const { modelName, o } = takeLoad(name, options)
    const { fullFinetuning = false, randomState = 3407, revision, token, signal, eosToken } = o
    const chatTemplate = o.chatTemplate == null ? null : templateOf(o.chatTemplate)
    const choice = (trained: TrainedOver | null) => {
      const loadIn4bit = !fullFinetuning && (o.loadIn4bit ?? trained?.load_in_4bit ?? true)
      return { dtype: o.dtype ?? 'bf16', loadIn4bit, doubleQuant: loadIn4bit && (o.doubleQuant ?? true) } as const
    }
    const ownDevice = typeof o.device !== 'object'
    const device: Device = typeof o.device === 'object' ? o.device : await openDevice(o.device ?? 'auto')
    let base: OpenedModel | undefined
    try {
      const shown = process.stderr.isTTY ? shownOf(process.stderr) : {}
      const hub = {
        revision: revision ?? undefined,
        token: token ?? undefined,
        signal,
        ...shown,
        ...(o.onProgress && { onProgress: o.onProgress }),
      }
      const found = await openBase(modelName, device, { ...hub, eosToken, chatTemplate, choice: (_, trained) => choice(trained) })
      const { opened, adapter, tokenizer } = found
      base = opened
      if (adapter !== null && fullFinetuning)
        throw new SaqrError(
          'OPTION_INVALID',
          say`${modelName} is an adapter, which is trained on as it is: leave ${option('fullFinetuning')} out, or merge it first`,
        )
      const spec: AdapterSpec = fullFinetuning ? { kind: 'full' } : { kind: 'none' }
      const language = adapter === null ? new LanguageModel(opened, spec, randomState) : loadAdapter(opened, adapter)
      language.promptForm = found.promptForm
      language.run = found.run
      const model = new PretrainedModel(language, tokenizer, o.maxSeqLength ?? 2048, modelName, ownDevice ? 'device' : 'base')
      if (o.resizeModelVocab != null) await model.resizeTokenEmbeddings(o.resizeModelVocab, { randomState })
      return { model, tokenizer }
    } catch (error) {
      base?.dispose()
      if (ownDevice) device.dispose()
      throw error
    }
  },

  /**
   * A new model with a LoRA adapter over the same base; `model` itself stays as it is. One that has just this adapter already is given back.
   * @throws SaqrError OPTION_…, MODEL_DISPOSED
   */
  getPeftModel(model: PretrainedModel, options?: PeftOptions): PretrainedModel {
    const { language } = requireModel(model, 'getPeftModel')
    const { randomState = 3407, ...given } = takeOptions<PeftOptions>(options, 'getPeftModel', PEFT, PEFT_RENAMED)
    const { checkpoint, model: family } = language.opened
    language.opened.alive()
    if (language.trained) {
      const there = adapterOf(language.adapter)
      refuseOther(there, asSettled(given, there, family), 'this model')
      return model
    }
    if (checkpoint.adapter !== undefined)
      throw new SaqrError(
        'OPTION_INVALID',
        `the base of this model holds weights of the adapter ${checkpoint.adapter.folder}, which a new adapter would not name: merge it first (savePretrainedMerged)`,
      )
    const config = { ...LORA, targetModules: [...family.linears], ...given, baseModelNameOrPath: model.name } as AdapterConfig
    const adapted = new LanguageModel(language.opened, newAdapter(config, family), randomState)
    try {
      checkModules(adapted)
    } catch (error) {
      adapted.disposeAdapter()
      throw error
    }
    adapted.promptForm = language.promptForm
    adapted.tokenizer = language.tokenizer
    return new PretrainedModel(adapted, model.tokenizer, model.maxSeqLength, model.name, 'nothing')
  },

  /** There is nothing to do: a model generates at any time, and trains on afterwards. Notebooks of Unsloth call it. */
  forInference(model: PretrainedModel): PretrainedModel {
    return requireModel(model, 'forInference')
  },

  /** There is nothing to do: a model trains at any time. Notebooks of Unsloth call it. */
  forTraining(model: PretrainedModel, options?: { useGradientCheckpointing?: 'unsloth' | boolean }): PretrainedModel {
    takeOptions(options, 'forTraining', { useGradientCheckpointing: PEFT.useGradientCheckpointing })
    return requireModel(model, 'forTraining')
  },
}

/** Of a model that trains something already. @throws SaqrError OPTION_INVALID for one that trains other than an adapter */
function adapterOf({ config, label }: Adapter): AdapterConfig {
  if (config !== null) return config
  throw new SaqrError(
    'OPTION_INVALID',
    `this model trains ${label}, and an adapter would not: give getPeftModel a model that fromPretrained opened without, or merge this one first (savePretrainedMerged)`,
  )
}

/** other names of the options of getPeftModel */
const PEFT_RENAMED = { rank: 'r', loraR: 'r', alpha: 'loraAlpha', dropout: 'loraDropout', seed: 'randomState' } as const

/** @throws SaqrError OPTION_… */
function takeLoad(name: unknown, options: unknown) {
  const named = typeof name === 'object' && name !== null && !(name instanceof Promise)
  if (named && options !== undefined && options !== null)
    throw new SaqrError(
      'OPTION_INVALID',
      'fromPretrained takes a name and options, or one object with modelName among them, not two objects',
    )
  const { modelName, ...o } = takeOptions(named ? name : options, 'fromPretrained', LOAD, LOAD_RENAMED)
  if (!named && modelName !== undefined && name !== undefined)
    throw new SaqrError('OPTION_INVALID', say`the name of the model stands first already: leave ${option('modelName')} out`)
  if (o.fullFinetuning && o.loadIn4bit)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('fullFinetuning')} contradicts ${option('loadIn4bit')}: weights in 4 bits can’t be trained; leave one of them out`,
    )
  if (o.loadIn16bit && o.loadIn4bit)
    throw new SaqrError('OPTION_INVALID', say`${option('loadIn16bit')} contradicts ${option('loadIn4bit')}; leave one of them out`)
  const path = take(modelName ?? name, 'modelName', filled)
  if (o.revision != null && (isFile(path) || isFolder(path)))
    throw new SaqrError('OPTION_INVALID', say`${option('revision')} ${o.revision} has no effect on a path: ${ON_PATH}`)
  return { modelName: path, o: { ...o, loadIn4bit: o.loadIn4bit ?? (o.loadIn16bit ? false : null) } }
}

/** @throws SaqrError OPTION_INVALID */
function requireModel(model: unknown, of: string): PretrainedModel {
  if (model instanceof PretrainedModel) return model
  const whole = typeof model === 'object' && model !== null && 'model' in model && 'tokenizer' in model
  throw new SaqrError(
    'OPTION_INVALID',
    `${of} takes the model that fromPretrained gave, not ${whole ? 'what it gave as a whole: const { model, tokenizer } = await …' : shown(model)}`,
  )
}
