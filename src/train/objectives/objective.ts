/**
 * What a run is trained towards. An objective is a file beside this one; the loop, evaluation, checkpoints and trackers know this interface alone.
 * An optimizer step is: rows laid out as passes, each pass run, its scores summed by metric, the sums divided by the normaliser.
 */
import type { Dataset } from '../../data/dataset.ts'
import type { Example } from '../../data/example.ts'
import type { Pass } from '../../data/passes.ts'
import type { Making, Prepared } from '../../data/prepare.ts'
import type { RowKind } from '../../data/row-kind.ts'
import type { Row } from '../../data/rows.ts'
import type { PassRunner, PassScores, StepInputs } from '../../engine/runner.ts'
import type { HeadScore } from '../../graph/head.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import type { CommonOptions } from '../options/common-config.ts'

/** Something measured while it trains: declared once, then summed, logged, kept in checkpoints and gone on with by its name. */
export interface Metric {
  /** in log_history, by TRL's name; evaluation writes `eval_` before it */
  readonly name: string
  /** on a terminal; null: it isn't shown there */
  readonly label: string | null
  /**
   * What is averaged. `step`: the value of a step, which is the sum over its passes by the normaliser; over an evaluation set, that of each
   * batch, by its rows. `batch`: the value of each micro-batch, of which the sum over a step's passes is the sum.
   */
  readonly of: 'step' | 'batch'
  /** what a pass adds */
  sum(pass: Pass, scores: PassScores, laid: LaidOut): number
  /** of a `batch` metric: micro-batches that have it; where none has, it isn't logged; default: all */
  count?(laid: LaidOut): number
}

export interface CutOptions {
  /** tokens of a pass at most */
  maxPassTokens: number
  prefixSharing: boolean
  /** T is a multiple of this */
  quantum: number
  /** tokens above which a micro-batch's longest row makes it a long one (`Model.longBeyond`) */
  longBeyond?: number
  /** micro-batches that a pass may hold, each whole: a term of the loss is of a micro-batch; absent: passes may cut them */
  wholeBatches?: number
}

/** Rows of an optimizer step, or of an evaluation batch, as they are run. */
export interface LaidOut {
  passes: Pass[]
  /** what sums over the passes are divided by, at least 1 */
  normaliser: number
  /** in the order given */
  examples: readonly Example[]
  /** micro-batch of each of them */
  batchOf: Int32Array
  /** tokens that count as seen; default: those of all rows */
  seenTokens?: number
  /** examples of each micro-batch, and its targets */
  batchSizes: Float64Array
  batchTargets: Float64Array
}

export interface RowSettings {
  /** of evaluation rows? */
  evaluation: boolean
  formattingFunc?: (row: Row) => string
  signal?: AbortSignal
  making?: Making
}

export type Together = 'sequence' | 'example' | 'batch'

/** Scores of rows under a model that stays as it is: a few numbers each. */
export interface Reference {
  /** numbers of a row */
  readonly width: number
  has(example: Example): boolean
  /** keeps those of a pass, of rows that it has none of */
  keep(pass: Pass, scores: PassScores, laid: LaidOut): void
  /** @throws Error for a row that has none: it would be trained towards nothing */
  get(example: Example): Float64Array
  /** numbers that `get` gave of this row before; those of a row that has some stay */
  set(example: Example, scores: readonly number[]): void
}

export interface Objective {
  /** as a checkpoint names it */
  readonly name: string
  /** What rows are to it, told before there is a tokenizer. @throws SaqrError DATA_COLUMNS */
  rows(dataset: Dataset, textField: string): RowKind
  /** What it needs of a row. @throws SaqrError DATA_… naming the row */
  prepare(dataset: Dataset, tokenizer: Tokenizer, options: CommonOptions, settings: RowSettings): Promise<Prepared>
  /**
   * Entries and their weights, in passes; rows that belong together share one. `batches`: the micro-batches of a step.
   * @throws SaqrError DATA_ROW_TOO_LONG
   */
  layOut(batches: readonly (readonly Example[])[], cut: CutOptions): LaidOut
  /** what no pass cuts, as its weights depend on all of it: a sequence, an example of several, or a micro-batch */
  readonly together: Together
  /** a mixture's own balance loss is part of it only where the model's configuration asks for it (`LossTerm.asked`); default: it is, wherever there is one */
  readonly balancedWhereAsked?: boolean
  /** nothing random in training: rows are compared with what they were; default: an adapter's dropout is on */
  readonly still?: boolean
  /** what becomes of a chunk's logits */
  readonly score: HeadScore
  /** Runs a pass, in as many sweeps as its weights need; gradients are added where the runner has any. Returns what metrics are summed from. */
  run(runner: PassRunner, pass: Pass, inputs: StepInputs, laid: LaidOut, signal?: AbortSignal): Promise<PassScores>
  /** what it needs of rows before anything is trained; absent: nothing */
  readonly reference?: Reference
  /** what of its options a resumed run must have alike; default: nothing */
  readonly facts?: Readonly<Record<string, string | number | boolean | null>>
  /** what gradients are of */
  readonly loss: Metric
  /** what is measured beside it */
  readonly metrics: readonly Metric[]
}

/** every metric, the loss first */
export function metricsOf({ loss, metrics }: Objective): readonly Metric[] {
  return [loss, ...metrics]
}

/** Numbers by the names of metrics. */
export type ByMetric = Record<string, number>

/** Means by the names of metrics, as they come about: what has been added, and how much it weighs. */
export interface Means {
  sums: ByMetric
  weights: ByMetric
}

export function noSums(objective: Objective): ByMetric {
  return Object.fromEntries(metricsOf(objective).map(({ name }) => [name, 0]))
}

export function noMeans(objective: Objective): Means {
  return { sums: noSums(objective), weights: noSums(objective) }
}

/** what `scores` of a pass add to `sums`, which is changed */
export function addScores(sums: ByMetric, objective: Objective, laid: LaidOut, pass: Pass, scores: PassScores): void {
  for (const metric of metricsOf(objective)) sums[metric.name]! += metric.sum(pass, scores, laid)
}

/** what a step, or an evaluation batch whose steps weigh as its rows, adds to `means`, which are changed */
export function addMeans(means: Means, objective: Objective, laid: LaidOut, sums: ByMetric, weight = 1): void {
  for (const { name, of, count } of metricsOf(objective)) {
    means.sums[name]! += of === 'step' ? (sums[name]! / laid.normaliser) * weight : sums[name]!
    means.weights[name]! += of === 'step' ? weight : (count?.(laid) ?? laid.batchTargets.length)
  }
}

export function meanOf({ sums, weights }: Means, { name }: Metric): number {
  return sums[name]! / weights[name]!
}

/** the means of what was measured, each by the name that `named` gives it */
export function measured(means: Means, { metrics }: Objective, named: (name: string) => string): ByMetric {
  const there = metrics.filter((metric) => !metric.count || means.weights[metric.name]! > 0)
  return Object.fromEntries(there.map((metric) => [named(metric.name), meanOf(means, metric)]))
}
