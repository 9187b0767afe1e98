/** The adapter that the options of a verb ask for, in PEFT's terms. */
import { isDeepStrictEqual } from 'node:util'
import { settledSpec } from '../../engine/adapter-modules.ts'
import { asSettled } from '../../engine/asked-again.ts'
import { Message, option, SaqrError, say } from '../../error.ts'
import { type AdapterConfig, loraConfig } from '../../formats/peft/config.ts'
import { noEffect, unmet } from '../../hub/need.ts'
import type { Model } from '../../models/family.ts'
import type { VerbOptions } from './common.ts'
import { needing } from './field.ts'
import { lora } from './lora.ts'
import { own } from './own.ts'
import { targetModules } from './rules.ts'

/** PEFT's targets for every family here where none are named. */
const PEFT_TARGETS = ['q_proj', 'v_proj']

/** Null without `--use_peft`: all weights are trained. */
export function adapterConfig(o: VerbOptions): AdapterConfig | null {
  if (!o.usePeft) return null
  const modules = targetModules(o.loraTargetModules) ?? PEFT_TARGETS
  return loraConfig({
    baseModelNameOrPath: o.modelNameOrPath,
    revision: o.modelRevision === 'main' ? null : o.modelRevision,
    r: o.loraR,
    loraAlpha: o.loraAlpha,
    loraDropout: o.loraDropout,
    bias: o.trainBias,
    useRslora: o.useRslora,
    targetModules: typeof modules === 'string' ? modules : [...modules],
    targetParameters: o.loraTargetParameters,
    modulesToSave: o.loraModulesToSave,
  })
}

const OPTIONS = needing({ ...lora, train_bias: own.train_bias })

/** PEFT's names of the options that have others there */
const PEFT_NAMES: Readonly<Record<string, keyof AdapterConfig>> = {
  loraR: 'r',
  trainBias: 'bias',
  loraTargetModules: 'targetModules',
  loraModulesToSave: 'modulesToSave',
  loraTargetParameters: 'targetParameters',
}

/**
 * Options of an adapter, held against the model that was found: its own adapter, or null.
 * @throws SaqrError OPTION_INVALID where they would be passed over
 */
export function checkAdapterOptions(o: VerbOptions, adapter: AdapterConfig | null, name: string, model: Model): void {
  if (adapter !== null) {
    const { config: there } = settledSpec({ kind: 'lora', config: adapter }, model) as { config: AdapterConfig }
    const asked: Readonly<Record<string, unknown>> = { ...adapterConfig({ ...o, usePeft: true }) }
    const given = OPTIONS.filter((one) => !isDeepStrictEqual(o[one.name as keyof VerbOptions], one.initial))
    const keys = given.map((one) => PEFT_NAMES[one.name] ?? one.name)
    refuseOther(there, asSettled(Object.fromEntries(keys.map((key) => [key, asked[key]])), there, model), name)
  } else
    for (const [need, names] of unmet(OPTIONS, { ...o, modelNameOrPath: null /* it is no adapter */ }))
      throw new SaqrError('OPTION_INVALID', noEffect(need, names))
}

/** Of what has an adapter already: the same one is there, another would come instead of it. @throws SaqrError OPTION_INVALID */
export function refuseOther(adapter: AdapterConfig, given: Readonly<Record<string, unknown>>, name: string): void {
  const ordered = (value: unknown) => (Array.isArray(value) ? value.toSorted() : value)
  const other = Object.entries(given)
    .filter(([key, value]) => key in adapter && !isDeepStrictEqual(ordered(value), ordered(adapter[key as keyof AdapterConfig])))
    .map(([key]) => say`${option(key)}`)
  if (other.length === 0) return
  throw new SaqrError(
    'OPTION_INVALID',
    say`${name} has an adapter already (LoRA r ${adapter.r}), of another ${Message.join(other, ', ')}: train it as it is, without them; or merge it (savePretrainedMerged) and begin a new one over the result`,
  )
}
