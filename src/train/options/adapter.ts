/** The adapter that the options of `saqr sft` ask for, in PEFT's terms. */
import { type AdapterConfig, loraConfig } from '../../formats/peft/config.ts'
import { targetModules } from './rules.ts'
import type { SftOptions } from './sft.ts'

/** PEFT's targets for every family here where none are named. */
const PEFT_TARGETS = ['q_proj', 'v_proj']

/** Null without `--use_peft`: all weights are trained. */
export function adapterConfig(o: SftOptions): AdapterConfig | null {
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
    modulesToSave: o.loraModulesToSave,
  })
}
