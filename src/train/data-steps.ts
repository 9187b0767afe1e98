/** What a recipe makes of prepared rows: what it cuts, packs and shares, and what its steps hold. */
import { chooseAdapter } from '../adapters/choose.ts'
import { unhurried } from '../data/breathe.ts'
import type { Counts } from '../data/counts.ts'
import type { Example } from '../data/example.ts'
import type { Prepared } from '../data/prepare.ts'
import { Sampler } from '../data/sampler.ts'
import { settledSpec } from '../engine/adapter-modules.ts'
import { adapterConfigOver } from '../engine/adapter-names.ts'
import type { Known } from '../engine/open-base.ts'
import type { Model } from '../models/family.ts'
import { stepData } from './data.ts'
import type { TrainOptions } from './data-report.ts'
import type { Objective } from './objectives/objective.ts'
import { coefficientOf, wholeBatches } from './objectives/term.ts'
import { adapterConfig } from './options/adapter.ts'
import { SAMPLED, targetsOf } from './start-event.ts'

export interface TrainingReport {
  /** rows of more tokens than `max_length` (of several sequences, in one of them), and how many tokens that leaves out, where rows are one sequence; null: no row is cut */
  cut: { maxLength: number; rows: number; of: number; tokens: number | null } | null
  /** of an epoch, after cutting */
  tokens: number
  targets: number
  /** tokens that are scored with them to compare with: of KTO, other rows' answers */
  beside: number
  /** of `max_length` tokens each, of which `filled` are a row's (a share) */
  packs: { packs: number; length: number; filled: number } | null
  /** tokens of an epoch that are computed once for several rows of a step, and why they are not */
  sharing: { tokens: number; off: string | null }
  step: StepReport
  evaluation: { rows: number; tokens: number; targets: number } | null
}

/** Steps as they are drawn: of the first `looked`. */
export interface StepReport {
  looked: number
  /** rows (of packed rows, packs) of a micro-batch, and micro-batches of a step */
  batchSize: number
  microBatches: number
  /** the last step of an epoch may have fewer */
  rows: Range
  tokens: Range
  targets: Range
  /** tokens that are computed, where rows share their beginnings */
  computed: Range
  /** null: memory decides, without `max_pass_tokens` */
  passes: Range | null
  perEpoch: number
  /** of the run */
  steps: number
}

export interface Range {
  least: number
  median: number
  most: number
}

/** @throws SaqrError DATA_TOO_FEW_ROWS, DATA_ROW_TOO_LONG, OPTION_…; the signal's reason */
export async function trainingOf(
  { examples, lengths, limit, parts }: Prepared,
  evaluated: Prepared | null,
  { model, adapter }: Known,
  objective: Objective,
  o: TrainOptions,
  signal: AbortSignal,
): Promise<TrainingReport> {
  const sampler = new Sampler({
    rows: examples.length,
    batchSize: o.perDeviceTrainBatchSize,
    accumulationSteps: o.gradientAccumulationSteps,
    seed: o.seed,
    dataSeed: o.dataSeed,
    strategy: o.trainSamplingStrategy,
    dropLast: o.dataloaderDropLast,
  })
  const cut = {
    maxPassTokens: o.maxPassTokens ?? Number.MAX_SAFE_INTEGER,
    quantum: 1,
    longBeyond: model.longBeyond,
    wholeBatches: wholeBatches(coefficientOf(model, o, objective), o.gradientAccumulationSteps),
  }
  const steps = sampler.totalSteps(o)
  const off = unshared(model, adapter, objective, o)
  const lay = (prefixSharing: boolean) =>
    Array.from({ length: Math.min(SAMPLED, steps, sampler.stepsPerEpoch) }, (_, step) =>
      stepData(objective, examples, sampler, step, { ...cut, prefixSharing }),
    )
  const looked = lay(off === null)
  const totals = await totalsOf(examples, parts, signal)
  const sum = (laid: typeof looked, of: 'computedTokens' | 'rowTokens') => laid.reduce((n, step) => n + step[of], 0)
  const shared = off === null ? looked : lay(true)
  const saved = 1 - sum(shared, 'computedTokens') / sum(shared, 'rowTokens')
  return {
    cut: limit === null ? null : cutOf(lengths, limit, parts === undefined),
    ...totals,
    packs: o.packing ? { packs: examples.length, length: o.maxLength!, filled: totals.tokens / (examples.length * o.maxLength!) } : null,
    sharing: { tokens: Math.round(saved * (totals.tokens + totals.beside)), off },
    step: {
      looked: looked.length,
      batchSize: o.perDeviceTrainBatchSize,
      microBatches: o.gradientAccumulationSteps,
      rows: rangeOf(looked.map((step) => step.rows)),
      tokens: rangeOf(looked.map((step) => step.rowTokens)),
      targets: rangeOf(looked.map((step) => step.examples.reduce((sum, example) => sum + trained(example, parts).targets, 0))),
      computed: rangeOf(looked.map((step) => step.computedTokens)),
      passes: o.maxPassTokens === null ? null : rangeOf(looked.map(({ passes }) => passes.length)),
      perEpoch: sampler.stepsPerEpoch,
      steps,
    },
    evaluation: evaluated && (await evaluationOf(evaluated, signal)),
  }
}

/** @param single rows are one sequence */
function cutOf(lengths: Counts, maxLength: number, single: boolean): TrainingReport['cut'] {
  const { count, by } = lengths.beyond(maxLength)
  return { maxLength, rows: count, of: lengths.length, tokens: single ? by : null }
}

async function evaluationOf({ lengths, examples, parts }: Prepared, signal: AbortSignal): Promise<TrainingReport['evaluation']> {
  const { tokens, targets } = await totalsOf(examples, parts, signal)
  return { rows: lengths.length, tokens, targets }
}

/** @param parts names of the sequences that are trained on; undefined: all are */
async function totalsOf(
  examples: readonly Example[],
  parts: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<{ tokens: number; targets: number; beside: number }> {
  const all = { tokens: 0, targets: 0, beside: 0 }
  for await (const example of unhurried(examples, signal)) {
    const { tokens, targets } = trained(example, parts)
    all.tokens += tokens
    all.beside += example.ids.length - tokens
    all.targets += targets
  }
  return all
}

function trained(example: Example, parts: readonly string[] | undefined): { tokens: number; targets: number } {
  const { ids, targets, starts } = example
  const tokens = (parts && starts?.[parts.length]) ?? ids.length
  return { tokens, targets: targetsOf(tokens === ids.length ? example : { ...example, targets: targets.subarray(0, tokens) }) }
}

/** Why rows do not share their beginnings; null: they do. */
function unshared(model: Model, adapter: string | null, { still }: Objective, o: TrainOptions): string | null {
  const lora = adapter === null ? adapterConfig(o) : adapterConfigOver(adapter, model)
  const base = { nf4: o.loadIn4bit, head: model.head.path, tiedTo: model.head.tiedTo }
  const { random } = chooseAdapter(settledSpec(lora ? { kind: 'lora', config: lora } : { kind: 'full' }, model), base, true)
  const noise = o.neftuneNoiseAlpha ? `neftune_noise_alpha is ${o.neftuneNoiseAlpha}` : null
  return (still ? null : random) ?? noise ?? (o.prefixSharing ? null : 'prefix_sharing is off')
}

function rangeOf(values: readonly number[]): Range {
  const sorted = values.toSorted((a, b) => a - b)
  return { least: sorted[0]!, median: sorted[Math.floor((sorted.length - 1) / 2)]!, most: sorted.at(-1)! }
}
