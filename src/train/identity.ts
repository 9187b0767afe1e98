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
import type { CheckpointTensor } from '../formats/tensor.ts'
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
  examples: readonly Example[]
  evalExamples: readonly Example[] | null
  options: CommonOptions
  steps: number
  /** of every value of the base: `digestOfBase` */
  base: string
}

export function identityOf({ objective, facts, model, examples, evalExamples, options: o, steps, base }: Identified): Identity {
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
      examples: examples.length,
      rows: digestOfRows(examples),
      model: digestOfModel(checkpoint.config, checkpoint.tensors),
      adapter: stringifyJson(adapter, { sortKeys: true }),
      precision: choice.dtype,
      loadIn4bit: choice.loadIn4bit,
      doubleQuant: choice.loadIn4bit && choice.doubleQuant,
      firstWeights: sampleOfStart(model),
      everyWeight: base,
      everyFirstWeight: digestOfStart(model),
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
      evaluationRows: evalExamples && digestOfRows(evalExamples),
    },
  }
}

/** A name of the run that its checkpoints share, and no other run in its folder has. */
export function nameOf({ same }: Identity, start: number): string {
  return `${start}-${digest((hash) => hash.update(stringifyJson(same, { sortKeys: true })))}`
}

/** What differs, in words: `seed 42 there, 7 now`; nothing where both are alike. */
export function differences(there: Facts, now: Facts): Message[] {
  return Object.keys(now).flatMap((key) => {
    const [a = null, b = null] = [there[key], now[key]]
    if (a === b) return []
    if (typeof a === 'string' && typeof b === 'string')
      return (
        inJson(key, a, b)?.map((one) => say`${one}`) ?? [
          HASH.test(a) ? say`other ${option(key)}` : say`${option(key)} ${a} there, ${b} now`,
        ]
      )
    return [say`${option(key)} ${a} there, ${b} now`]
  })
}

/** What checkpoints lack that were saved before every value was looked at: `model` and `firstWeights` hold some rows of each tensor. */
export const WHOLE = ['everyWeight', 'everyFirstWeight'] as const

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

function digestOfRows(examples: readonly Example[]): string {
  return digest((hash) => {
    for (const { ids, targets, starts } of examples) {
      hash.update(Int32Array.of(ids.length, starts?.length ?? 0))
      hash.update(ids).update(targets)
      if (starts) hash.update(starts)
    }
  })
}

interface Start {
  sample: string
  whole: string
}

const starts = new WeakMap<LanguageModel, Start>()

/** What was trained began as: an adapter's own values tell it from another over the same base. A model trained before in this process began as it did then. */
function startOf(model: LanguageModel): Start {
  let start = starts.get(model)
  if (start === undefined) starts.set(model, (start = { sample: sampleOfTrained(model), whole: digestOfTrained(model.trainables) }))
  return start
}

const digestOfStart = (model: LanguageModel): string => startOf(model).whole
const sampleOfStart = (model: LanguageModel): string => startOf(model).sample

/** Is it another than it began as, trained before in this process? */
export const isTrained = (model: LanguageModel): boolean => digestOfTrained(model.trainables) !== digestOfStart(model)

/**
 * What makes a model's numbers, to the last byte: every weight of the base and of what is trained over it, as they are now, what is computed
 * with, on what, and saqr itself.
 * @param code that computes
 * @throws the signal's reason
 */
export async function wholeDigest(model: LanguageModel, signal?: AbortSignal, code = madeBy()): Promise<string> {
  const { checkpoint, choice, device } = model.opened
  const { kind, label } = device.describe()
  const base = await digestOfBase(checkpoint, signal)
  const trained = model.trained && digestOfTrained(model.trained)
  const { baseModelNameOrPath: _, revision: __, ...adapter } = model.adapter.config ?? { kind: 'full' }
  const all = stringifyJson({ base, trained, choice, adapter, kind, label, code }, { sortKeys: true })
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

function sampleOfTrained({ trainables }: LanguageModel): string {
  return digest((hash) => {
    for (const name of trainables.names) {
      const { rows, cols } = trainables.shape(name)
      for (const row of someOf(rows)) hash.update(trainables.rows(name, row, 1).subarray(0, Math.min(cols, MOST)))
    }
  })
}

/** numbers of a row that are looked at: an embedding's A has a row as long as the vocabulary */
const MOST = 4096

/** the first, the last and two between */
function someOf(rows: number): number[] {
  return [...new Set([0, 1 / 3, 2 / 3, 1].map((share) => Math.floor(share * (rows - 1))))]
}

/** What tells another model from one whose weights are others: its configuration, and some rows of every tensor. */
function digestOfModel(config: Readonly<Record<string, unknown>>, tensors: ReadonlyMap<string, CheckpointTensor>): string {
  return digest((hash) => {
    hash.update(stringifyJson(config, { sortKeys: true }))
    for (const name of [...tensors.keys()].sort()) {
      const tensor = tensors.get(name)!
      hash.update(`${name} ${tensor.shape.join('×')}`)
      for (const row of someOf(tensor.rows)) hash.update(tensor.load('f32', row, 1))
    }
  })
}
