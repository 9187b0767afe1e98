/** Options of an adapter that is there, given again: do they ask for what it is? */
import { isDeepStrictEqual } from 'node:util'
import { withOlderNames } from '../adapters/targets.ts'
import { type AdapterConfig, loraConfig } from '../formats/peft/config.ts'
import { alphaOf, rankOf } from '../formats/peft/scale.ts'
import type { Model } from '../models/family.ts'
import { checkModules, overModel, settledSpec } from './adapter-modules.ts'
import { parametersOf } from './settle.ts'

/** what they say together: which modules are trained, and by what */
const NAMES = ['targetModules', 'targetParameters', 'excludeModules', 'modulesToSave', 'layersToTransform', 'layersPattern'] as const
const PATTERNS = [
  ['rankPattern', rankOf],
  ['alphaPattern', alphaOf],
] as const

/**
 * The options that are given, each as the adapter that is there has it where they mean what it does: what is not given stays so, and names may be
 * others for the same modules.
 * @param there as it is settled over this model
 * @throws SaqrError OPTION_MODULES for names that can't be meant
 */
export function asSettled(given: Readonly<Record<string, unknown>>, there: AdapterConfig, model: Model): Record<string, unknown> {
  const isGiven = (field: keyof AdapterConfig) => given[field] !== undefined
  const names = NAMES.filter(isGiven)
  const patterns = PATTERNS.filter(([field]) => isGiven(field))
  if (names.length === 0 && patterns.length === 0) return { ...given }
  const trained = trainedBy(there, model)
  const readings = readingsOf(given, there, model)
  const meant = readings.find((config) => isDeepStrictEqual(trainedBy(config, model), trained))
  if (meant) checkFurther(meant, there, model)
  const asThere = (fields: readonly (keyof AdapterConfig)[]) => Object.fromEntries(fields.map((field) => [field, there[field]]))
  const alike = patterns.filter(([field, of]) => {
    const lookedUp = [...trained].map((name) => name.replace(/\.lora_.*$/, ''))
    const paths = [...lookedUp, ...parametersOf(model).keys()]
    return readings.some(
      (config) => isDeepStrictEqual(config[field], there[field]) || paths.every((path) => of(config, path) === of(there, path)),
    )
  })
  return { ...given, ...(meant ? asThere(names) : {}), ...asThere(alike.map(([field]) => field)) }
}

/** Names beside those that are there mean something too. @throws SaqrError OPTION_MODULES */
function checkFurther({ targetModules: asked }: AdapterConfig, { targetModules: known }: AdapterConfig, model: Model): void {
  if (typeof asked === 'string' || typeof known === 'string') return
  const further = asked.filter((name) => !known.includes(name))
  if (further.length > 0) checkModules(overModel({ kind: 'lora', config: loraConfig({ targetModules: further }) }, model))
}

/** What the given may mean over this adapter. */
function readingsOf(given: Readonly<Record<string, unknown>>, there: AdapterConfig, model: Model): AdapterConfig[] {
  const asked = { ...there, rankPattern: {}, alphaPattern: {}, ...given } as AdapterConfig
  const settled = (config: AdapterConfig) => (settledSpec({ kind: 'lora', config }, model) as { config: AdapterConfig }).config
  if (given.targetModules === undefined) {
    if (!model.experts && !model.apart) return [settled(asked)]
    // those there may have been meant by other names, which bring ranks and scales of their own
    const { targetModules } = withOlderNames(there, model, [...parametersOf(model).values()])
    return [settled(asked), settled({ ...asked, targetModules })]
  }
  if (given.targetParameters !== undefined) return [settled(asked)]
  const alone = settled({ ...asked, targetParameters: null })
  // names that mean experts say which; others say nothing of them
  return alone.targetParameters?.length ? [alone] : [settled(asked)]
}

/** names of what it trains over this model */
function trainedBy(config: AdapterConfig, model: Model): Set<string> {
  return new Set([...overModel({ kind: 'lora', config }, model).recorder.parameters.keys()].sort())
}
