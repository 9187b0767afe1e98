/**
 * Which run a checkpoint is of. What makes the rows of each step, the arithmetic and the trained tensors must be the same in a resumed run;
 * options that one may want to change on the way (the learning rate, how long it goes on) are told where they differ.
 */
import { createHash } from 'node:crypto'
import type { Example } from '../data/example.ts'
import { madeBy } from '../data/made-by.ts'
import { digestOfBase, digestOfTrained } from '../engine/digest.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { type Message, option, say } from '../error.ts'
import { isObject, stringifyJson } from '../formats/json.ts'
import { meaningOf } from '../models/meaning.ts'
import { statesOf } from './optim.ts'
import type { CommonOptions } from './options/common-config.ts'

type Value = string | number | boolean | null
export type Facts = Readonly<Record<string, Value>>

export interface Identity {
  /** must be the same */
  same: Facts
  /** may be another from here on */
  options: Facts
}

export interface Identified {
  objective: string
  facts?: Facts | undefined
  model: LanguageModel
  /** how many there are, and a digest of them */
  rows: { count: number; digest: string }
  evaluationRows: string | null
  options: CommonOptions
  steps: number
}

/** What a run knows only once every weight of its base was read. */
export const WEIGHTS = 'weights'

export function identityOf({ objective, facts, model, rows, evaluationRows, options: o, steps }: Identified): Identity {
  const { choice, checkpoint } = model.opened
  const { baseModelNameOrPath: _, revision: __, ...adapter } = model.adapter.config ?? { kind: 'full' }
  return {
    same: {
      objective,
      ...facts,
      seed: o.seed,
      dataSeed: o.dataSeed ?? o.seed,
      batchSize: o.perDeviceTrainBatchSize,
      accumulationSteps: o.gradientAccumulationSteps,
      trainSamplingStrategy: o.trainSamplingStrategy,
      dataloaderDropLast: o.dataloaderDropLast,
      examples: rows.count,
      rows: rows.digest,
      config: stringifyJson(meaningOf(checkpoint.config), { sortKeys: true }),
      adapter: stringifyJson(adapter, { sortKeys: true }),
      precision: choice.dtype,
      loadIn4bit: choice.loadIn4bit,
      doubleQuant: choice.loadIn4bit && choice.doubleQuant,
      firstValues: startOf(model),
      optimizerStates: statesOf(o),
    },
    options: {
      steps,
      learningRate: o.learningRate,
      lrSchedulerType: o.lrSchedulerType,
      metricForBestModel: o.metricForBestModel,
      greaterIsBetter: o.greaterIsBetter,
      lrSchedulerKwargs: stringifyJson(o.lrSchedulerKwargs ?? {}, { sortKeys: true }),
      warmupSteps: o.warmupSteps,
      weightDecay: o.weightDecay,
      optimArgs: o.optimArgs,
      loraplusLrRatio: o.loraplusLrRatio,
      loraplusLrEmbedding: o.loraplusLrEmbedding,
      embeddingLearningRate: o.embeddingLearningRate,
      adamBeta1: o.adamBeta1,
      adamBeta2: o.adamBeta2,
      adamEpsilon: o.adamEpsilon,
      maxGradNorm: o.maxGradNorm,
      prefixSharing: o.prefixSharing,
      neftuneNoiseAlpha: o.neftuneNoiseAlpha ?? null,
      evaluationRows,
    },
  }
}

export const withWeights = ({ same, options }: Identity, digest: string): Identity => ({ same: { ...same, [WEIGHTS]: digest }, options })

/** A name of the run that its checkpoints share, and no other run in its folder has. */
export function nameOf({ same }: Identity, start: number): string {
  return `${start}-${digest((hash) => hash.update(stringifyJson(same, { sortKeys: true })))}`
}

/** Facts that checkpoints call otherwise than the option is, or that follow from options. */
const OPTIONS_OF: Readonly<Record<string, Message>> = {
  batchSize: say`${option('perDeviceTrainBatchSize')}`,
  accumulationSteps: say`${option('gradientAccumulationSteps')}`,
  doubleQuant: say`${option('useBnbNestedQuant')}`,
  precision: say`precision (${option('dtype')})`,
  objective: say`objective (${option('lossType')})`,
  optimizerStates: say`optimizerStates (${option('optim')})`,
  steps: say`steps (${option('maxSteps')}, ${option('numTrainEpochs')})`,
}

/** What differs, in words and by options' names: `seed 42 there, 7 now`; nothing where both are alike. */
export function differences(there: Facts, now: Facts): Message[] {
  return Object.keys(now).flatMap((key) => {
    const [a = null, b = null] = [there[key], now[key]]
    if (a === b) return []
    const name = OPTIONS_OF[key] ?? say`${option(key)}`
    if (typeof a === 'string' && typeof b === 'string')
      return inJson(key, a, b)?.map((one) => say`${one}`) ?? [HASH.test(a) ? say`other ${name}` : say`${name} ${a} there, ${b} now`]
    return [say`${name} ${a} there, ${b} now`]
  })
}

/** What checkpoints of an older saqr lack, which knew a model by other digests. */
export const LATER = ['config', 'firstValues', WEIGHTS] as const

const HASH = /^[0-9a-f]{16}$/

/** of two objects the keys that differ */
function inJson(key: string, a: string, b: string): string[] | null {
  if (!a.startsWith('{') || !b.startsWith('{')) return null
  const [there, now] = [JSON.parse(a), JSON.parse(b)] as unknown[]
  if (!isObject(there) || !isObject(now)) return null
  const keys = [...new Set([...Object.keys(there), ...Object.keys(now)])]
  const show = (value: unknown) => JSON.stringify(value ?? null)
  return keys.filter((k) => show(there[k]) !== show(now[k])).map((k) => `${key} ${k} ${show(there[k])} there, ${show(now[k])} now`)
}

type Hash = ReturnType<typeof createHash>

function digest(fill: (hash: Hash) => void): string {
  const hash = createHash('sha256')
  fill(hash)
  return hash.digest('hex').slice(0, 16)
}

/** Of rows that come one by one: what is trained on, and in which order. */
export class RowsDigest {
  readonly #hash = createHash('sha256')

  add({ ids, targets, starts }: Example): void {
    this.#hash.update(Int32Array.of(ids.length, starts?.length ?? 0))
    this.#hash.update(ids).update(targets)
    if (starts) this.#hash.update(starts)
  }

  digest(): string {
    return this.#hash.digest('hex').slice(0, 16)
  }
}

const starts = new WeakMap<LanguageModel, string>()

/** What was trained began as: an adapter's own values tell it from another over the same base. A model trained before in this process began as it did then. */
function startOf(model: LanguageModel): string {
  let start = starts.get(model)
  if (start === undefined) starts.set(model, (start = digestOfTrained(model.trainables)))
  return start
}

/** Is it another than it began as, trained before in this process? */
export const isTrained = (model: LanguageModel): boolean => digestOfTrained(model.trainables) !== startOf(model)

/**
 * What makes a model's numbers, to the last byte: every weight of the base and of what is trained over it, as they are now, what is computed
 * with, on what, and saqr itself.
 * @param code that computes
 * @throws the signal's reason
 */
export async function wholeDigest(model: LanguageModel, signal?: AbortSignal, code = madeBy()): Promise<string> {
  const { checkpoint, choice, device } = model.opened
  const { kind, label } = device.describe()
  const base = await digestOfBase(checkpoint, { signal })
  const trained = model.trained && digestOfTrained(model.trained)
  const { baseModelNameOrPath: _, revision: __, ...adapter } = model.adapter.config ?? { kind: 'full' }
  const config = meaningOf(checkpoint.config)
  const all = stringifyJson({ base, config, trained, choice, adapter, kind, label, code }, { sortKeys: true })
  const whole = createHash('sha256').update(all).digest('hex')
  if (model.trained && !isTrained(model)) wholeStarts.set(model, whole)
  return whole
}

const wholeStarts = new WeakMap<LanguageModel, string>()

/** What measured rows before a model was trained in this process; null: it has been since, and nobody asked before. @throws the signal's reason */
export async function wholeDigestOfStart(model: LanguageModel, signal?: AbortSignal): Promise<string | null> {
  if (isTrained(model)) return wholeStarts.get(model) ?? null
  return await wholeDigest(model, signal)
}
