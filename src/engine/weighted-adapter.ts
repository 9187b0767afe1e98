/** Several adapters over one base as one, by weights: PEFT's add_weighted_adapter. */
import { isDeepStrictEqual } from 'node:util'
import { isAllLinear } from '../adapters/match.ts'
import { SaqrError } from '../error.ts'
import { show } from '../formats/json.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import { loraScale } from '../formats/peft/scale.ts'
import { type Combining, combine, type LowRankPart } from './combine.ts'
import { LanguageModel } from './language-model.ts'

type BaseName = Partial<Pick<AdapterConfig, 'baseModelNameOrPath' | 'revision'>>

export interface Weighted {
  /** as messages call it */
  name: string
  language: LanguageModel
  weight: number
}

export interface WeightedBy extends Combining {
  /** rank of what svd makes; null: the largest of theirs */
  svdRank: number | null
}

/**
 * @param base as the made adapter names its base; default: as the first does
 * @throws SaqrError OPTION_INVALID for adapters that have more than low-rank parts of linears, other ranks, or no common configuration
 */
export function weightedAdapter(parts: readonly Weighted[], asked: WeightedBy, base: BaseName = {}): LanguageModel {
  const how = parts.length === 1 ? 'linear' : asked.how // as PEFT has it
  for (const part of parts) checkPlain(part)
  const configs = parts.map(({ language }) => language.adapter.config!)
  const ranks = configs.map(({ r, rankPattern }) => Math.max(r, ...Object.values(rankPattern)))
  if (how !== 'cat' && how !== 'svd' && new Set(ranks).size > 1)
    throw new SaqrError(
      'OPTION_INVALID',
      `${how} is for adapters of one rank, and these have ${ranks.join(', ')}: combine them by cat or svd`,
    )
  const r = how === 'cat' ? ranks.reduce((a, b) => a + b) : how === 'svd' ? (asked.svdRank ?? Math.max(...ranks)) : ranks[0]!
  const { opened } = parts[0]!.language
  const targetModules = [...new Set(parts.flatMap(modulesOf))].sort()
  const excludeModules = excludedOf(parts)
  const config = { ...configs[0]!, r, loraAlpha: r, useRslora: false, targetModules, excludeModules, alphaPattern: {}, rankPattern: {} }
  const made = new LanguageModel(opened, { kind: 'lora', config: { ...config, ...base } }, 0)
  try {
    for (const part of parts) checkPlace(part, made)
    for (const a of made.trainables.names.filter((name) => IS_A.test(name))) fill(made, parts, a, { ...asked, how })
    const [form] = parts.map(({ language }) => language.promptForm)
    if (parts.every(({ language }) => JSON.stringify(language.promptForm) === JSON.stringify(form))) made.promptForm = form!
    made.tokenizer = parts[0]!.language.tokenizer
    return made
  } catch (error) {
    made.disposeAdapter()
    throw error
  }
}

/** all-linear becomes the last names of the modules it means, as PEFT keeps it */
function modulesOf({ language: { adapter, trainables } }: Weighted): readonly string[] {
  const { targetModules } = adapter.config!
  if (typeof targetModules !== 'string') return targetModules
  return trainables.names.filter((name) => IS_A.test(name)).map((name) => name.replace(IS_A, '').replace(/^.*\./, ''))
}

const IS_A = /\.lora_(A\.weight|embedding_A)$/
const otherSide = (a: string) => a.replace(/lora_(embedding_)?A/, (_, embedding = '') => `lora_${embedding}B`)

function fill(made: LanguageModel, parts: readonly Weighted[], a: string, by: Combining): void {
  const b = otherSide(a)
  const [rank, cols] = made.trainables.fileShape(a) as [number, number]
  const [rows] = made.trainables.fileShape(b) as [number]
  const given = parts.flatMap(({ language: { trainables, adapter }, weight }): LowRankPart[] => {
    if (!trainables.names.includes(a)) return [] // it leaves this module as it is
    const [own] = trainables.fileShape(a) as [number]
    const scaled = weight * loraScale(adapter.config!, a.replace(IS_A, ''))
    return [{ a: trainables.inFile(a), b: trainables.inFile(b), rank: own, scaled }]
  })
  const whole = combine(given, [rows, rank, cols], by)
  made.trainables.setFromFile(a, whole.a)
  made.trainables.setFromFile(b, whole.b)
}

/**
 * What all exclude stays excluded. What one excludes another may adapt: then nothing is, and a module that no part has gets zeros.
 * @throws SaqrError OPTION_INVALID where that would mean modules beside the text model too, which PEFT reads the same names for
 */
function excludedOf(parts: readonly Weighted[]): AdapterConfig['excludeModules'] {
  const [first, ...others] = parts.map(({ name, language }) => ({ name, excluded: language.adapter.config!.excludeModules }))
  const other = others.find(({ excluded }) => !isDeepStrictEqual(excluded, first!.excluded))
  if (other === undefined) return first!.excluded
  const { family, composite } = parts[0]!.language.opened.model
  if (composite)
    throw new SaqrError(
      'OPTION_INVALID',
      `the adapters ${first!.name} and ${other.name} can't be combined by weights: their exclude_modules differ (${show(first!.excluded)}, ${show(other.excluded)}), by which adapters of a ${family} model stay out of ${composite.beside.join(', ')}. Merge each by itself`,
    )
  return null
}

/** No part of an adapter may get lost. @throws SaqrError OPTION_INVALID naming the first that the combined one has no place for */
function checkPlace({ name, language }: Weighted, made: LanguageModel): void {
  const there = new Set(made.trainables.names)
  const lost = language.trainables.names.find((one) => !there.has(one))
  if (lost !== undefined)
    throw new SaqrError(
      'OPTION_INVALID',
      `the adapter ${name} can't be combined by weights with these: one of all their target_modules has no ${lost}. Merge it by itself`,
    )
}

/** @throws SaqrError OPTION_INVALID naming what of the adapter no sum of low-rank parts has a place for */
function checkPlain({ name, language }: Weighted): void {
  const { trainables, adapter, kept } = language
  const config = adapter.config!
  const other = trainables.names.find((one) => !/\.lora_(A\.weight|B\.weight|embedding_A|embedding_B)$/.test(one))
  const why =
    typeof config.targetModules === 'string' && !isAllLinear(config.targetModules)
      ? `its target_modules are an expression (${config.targetModules})`
      : config.layersToTransform !== null
        ? 'it has layers_to_transform'
        : config.targetParameters?.length
          ? `it has target_parameters ${config.targetParameters.join(', ')}, of which PEFT doesn't combine any either`
          : other !== undefined
            ? `it trains ${other}`
            : kept.length > 0
              ? `it keeps ${kept[0]![0]}`
              : null
  if (why !== null) throw new SaqrError('OPTION_INVALID', `the adapter ${name} can't be combined by weights: ${why}. Merge it by itself`)
}
