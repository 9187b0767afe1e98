/** The configuration of a GGUF model in the form of Hugging Face's config.json: common to all, with what its family's layout says. */
import type { JsonObject } from '../json.ts'
import { show } from '../json.ts'
import type { GgufHeader } from './header.ts'
import { isKnownKey } from './keys.ts'
import type { GgufLayout } from './layout.ts'
import { GgufModel, type RopeFactors } from './model.ts'

export interface GgufConfig {
  layout: GgufLayout
  config: JsonObject
  generationConfig: JsonObject
}

/** Errors: FORMAT_GGUF_ARCHITECTURE for a model that none of `layouts` is of, FORMAT_GGUF for metadata that make no sense. */
export function ggufConfig(header: GgufHeader, path: string, factors: RopeFactors, layouts: readonly GgufLayout[]): GgufConfig {
  const model = new GgufModel(header, path, factors)
  const { meta, architecture } = model
  const type = meta.optionalString('general.type') ?? 'model'
  if (type !== 'model') throw model.unsupported(`is of type ${show(type)} and not a model`)
  const known = layouts.filter((l) => l.architecture === architecture)
  if (known.length === 0) {
    const names = [...new Set(layouts.map((l) => l.architecture))].join(', ')
    throw model.unsupported(`has the architecture ${show(architecture)}; ${names} are supported`)
  }
  if (meta.optionalBoolean(model.key('attention.causal')) === false) throw model.unsupported('does not mask the future: it is an encoder')
  const experts = (meta.optionalCount(model.key('expert_count')) ?? 0) > 0
  if (!known.some((l) => (l.experts ?? false) === experts)) throw model.unsupported(experts ? 'is a mixture of experts' : 'has no experts')
  const layout = known.find((l) => (l.experts ?? false) === experts && (l.holds?.(model) ?? true))
  if (!layout) {
    const key = model.key(known.find((l) => l.heldBy)?.heldBy ?? 'attention.sliding_window')
    throw model.unsupported(`has ${key} ${show(meta.values.get(key))}, which is none of the models known here`)
  }
  model.partialRotation = layout.partialRotation ?? false
  checkKeys(model, layout)
  return { layout, config: layout.config(model), generationConfig: model.generationConfig() }
}

/** every key below the architecture's name is read, or has no effect */
function checkKeys(model: GgufModel, { keys = [] }: GgufLayout): void {
  const below = model.key('')
  for (const [full, value] of model.meta.values) {
    const name = full.slice(below.length)
    if (!full.startsWith(below) || keys.includes(name) || isKnownKey(name, value, () => model.headDim)) continue
    throw model.unsupported(`has ${full} ${show(value)}, which changes the model in a way that is not known here`)
  }
}
