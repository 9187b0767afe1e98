/** The adapter that the options of `saqr sft` ask for, in PEFT's terms. */
import type { AdapterConfig } from '../../formats/peft/config.ts'
import { targetModules } from './rules.ts'
import type { SftOptions } from './sft.ts'

/** PEFT's targets for every family here where none are named. */
const PEFT_TARGETS = ['q_proj', 'v_proj']

/** Null without `--use_peft`: all weights are trained. */
export function adapterConfig(o: SftOptions): AdapterConfig | null {
  if (!o.usePeft) return null
  const modules = targetModules(o.loraTargetModules) ?? PEFT_TARGETS
  return {
    baseModelNameOrPath: o.modelNameOrPath,
    revision: o.modelRevision === 'main' ? null : o.modelRevision,
    r: o.loraR,
    loraAlpha: o.loraAlpha,
    loraDropout: o.loraDropout,
    bias: o.trainBias,
    useRslora: o.useRslora,
    loraBias: false,
    targetModules: typeof modules === 'string' ? modules : [...modules],
    excludeModules: null,
    modulesToSave: o.loraModulesToSave,
    layersToTransform: null,
    layersPattern: null,
    rankPattern: {},
    alphaPattern: {},
    initLoraWeights: true,
    taskType: 'CAUSAL_LM',
    autoMapping: null,
    inferenceMode: false,
  }
}
