/** The families there are, by `model_type`. */
import { SaqrError } from '../error.ts'
import { checkUnused } from './config-keys.ts'
import { deepseekV2 } from './deepseek-v2.ts'
import { deepseekV3 } from './deepseek-v3.ts'
import type { Family, Model } from './family.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3, gemma3Text } from './gemma3.ts'
import { gptOss } from './gpt-oss.ts'
import { llama } from './llama.ts'
import { mistral } from './mistral.ts'
import { mixtral } from './mixtral.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'
import { qwen3Moe } from './qwen3-moe.ts'
import { smollm3 } from './smollm3.ts'

export const families: readonly Family[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma2,
  gemma3Text,
  gemma3,
  smollm3,
  phi3,
  mixtral,
  qwen3Moe,
  deepseekV2,
  deepseekV3,
  gptOss,
]

/** @throws SaqrError MODEL_UNSUPPORTED for a model_type that no family here has */
export function familyOf(config: Readonly<Record<string, unknown>>): Family {
  const family = families.find((f) => f.modelType === config.model_type)
  if (!family) {
    const given =
      config.model_type === undefined
        ? 'config.json names no model_type'
        : `model_type ${JSON.stringify(config.model_type)} is not supported`
    throw new SaqrError('MODEL_UNSUPPORTED', `${given}: saqr trains ${families.map((f) => f.modelType).join(', ')}`)
  }
  return family
}

/** @throws SaqrError those of `familyOf`, MODEL_CONFIG for what the family doesn't do */
export function openConfig(config: Readonly<Record<string, unknown>>): Model {
  const family = familyOf(config)
  checkUnused(config)
  return family.open(config)
}
