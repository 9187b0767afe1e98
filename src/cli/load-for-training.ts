/** A model as the options of a verb name it, to be trained: apart from who only asks one, whose first token waits for all that is loaded. */
import type { Device } from '../devices/device.ts'
import { checkBeforeWeights, checkModules, newAdapter } from '../engine/adapter-modules.ts'
import { adapterConfigOver } from '../engine/adapter-names.ts'
import { LanguageModel } from '../engine/language-model.ts'
import { loadAdapter } from '../engine/load-adapter.ts'
import { type BaseRequest, type Known, lookUp } from '../engine/open-base.ts'
import { option, SaqrError, say } from '../error.ts'
import type { Model } from '../models/family.ts'
import { adapterConfig, checkAdapterOptions } from '../train/options/adapter.ts'
import type { VerbOptions } from '../train/options/common.ts'
import { FROZEN_4BIT, precisionIn } from '../train/options/precision-in.ts'
import { asked, looking, type Opened, openBase } from './load.ts'
import type { Io } from './verb.ts'

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
    checkAdapter(name, adapter, model, o)
    if (adapter === null && lora) checkBeforeWeights(newAdapter(lora, model), model)
    await beforeWeights?.(tokenizer, model, adapter)
  })
  if (base.adapter !== null) return { ...base, language: asked(loadAdapter(base.opened, base.adapter), base) }
  const language = new LanguageModel(base.opened, lora ? newAdapter(lora, base.opened.model) : { kind: 'full' }, o.seed)
  if (lora) checkModules(language)
  return { ...base, language: asked(language, base) }
}

/** What is known of a model to train without its weights, which are not fetched. @throws SaqrError as opening it for training does */
export async function lookUpForTraining(o: VerbOptions, io: Io): Promise<Known> {
  const name = o.modelNameOrPath!
  return await lookUp(
    name,
    { ...(await looking(o, io)), beforeWeights: (_, model, adapter) => checkAdapter(name, adapter, model, o) },
    false,
  )
}

/** @throws SaqrError OPTION_INVALID for options of an adapter that don't fit what was found: the folder of one, or null */
function checkAdapter(name: string, adapter: string | null, model: Model, o: VerbOptions): void {
  if (adapter !== null && o.usePeft)
    throw new SaqrError('OPTION_INVALID', say`${name} is an adapter, which is trained on as it is; leave ${option('usePeft')} out`)
  checkAdapterOptions(o, adapter === null ? null : adapterConfigOver(adapter, model), name, model)
  if (o.loadIn4bit && adapter === null && !o.usePeft) throw new SaqrError('OPTION_INVALID', FROZEN_4BIT)
}
