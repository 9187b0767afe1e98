/** What a run would do and need, from a model's config.json and the options alone: no weights, no rows. `saqr plan` prints it. */
import { chooseAdapter } from '../adapters/choose.ts'
import { type Device, overheadOf } from '../devices/device.ts'
import { noTarget, settledSpec } from '../engine/adapter-modules.ts'
import { planBudget, storeBytes } from '../engine/budget.ts'
import { countFlops, predictSeconds, ratesOf, type Work } from '../engine/predict.ts'
import { SaqrError } from '../error.ts'
import type { JsonObject } from '../formats/json.ts'
import { chunkOf } from '../graph/chunk.ts'
import { layoutParameters } from '../graph/layout.ts'
import { optimizerPlan, statesOf } from '../graph/optimizer.ts'
import type { Plan } from '../graph/plan.ts'
import { inspect } from '../graph/training.ts'
import { openConfig } from '../models/registry.ts'
import type { MemoryTable } from '../track/events.ts'
import { memoryOf } from './memory.ts'
import type { Objective } from './objectives/objective.ts'
import { coefficientOf, wholeBatches } from './objectives/term.ts'
import { is8bit, optimizerOptions } from './optim.ts'
import { adapterConfig } from './options/adapter.ts'
import { FROZEN_4BIT, precisionIn } from './options/precision-in.ts'
import { memoryLimit } from './options/rules.ts'
import type { SftOptions } from './options/sft.ts'

export interface PlanReport {
  model: string
  family: string
  layers: number
  device: string
  precision: 'bf16' | 'f32'
  /** weights in all, and those trained */
  parameters: { all: number; trained: number }
  /** an optimizer step: rows of `rowTokens` tokens, in passes of at most `passTokens` */
  step: { rows: number; rowTokens: number; passes: number; passTokens: number; headChunk: number }
  /** floating-point operations of an optimizer step, by segment of the plans in the order they run; `recomputed` is part of `flops` */
  flops: { segments: { name: string; flops: number; recomputed: number }[]; total: number }
  memory: MemoryTable
  /** predicted for an optimizer step */
  seconds: number
  tokensPerSecond: number
  /** of the plan of a full pass: what `sft` logs for the same cut */
  hash: string
}

/**
 * Rows are taken to be as long as `max_length` lets them be, all tokens targets.
 * @throws SaqrError MODEL_…, OPTION_…, MEMORY_BUDGET
 */
export function reportPlan(
  name: string,
  config: JsonObject,
  o: SftOptions,
  device: Device,
  { score, ...objective }: Pick<Objective, 'score' | 'balancedWhereAsked'>,
): PlanReport {
  const model = openConfig(config)
  const activation = precisionIn(o, config)
  const lora = adapterConfig(o)
  if (o.loadIn4bit && !lora) throw new SaqrError('OPTION_INVALID', FROZEN_4BIT)
  const adapter = chooseAdapter(
    settledSpec(lora ? { kind: 'lora', config: lora } : { kind: 'full' }, model),
    { nf4: o.loadIn4bit, head: model.head.path, tiedTo: model.head.tiedTo },
    true,
  )
  const recorder = inspect(model, adapter, activation)
  if (adapter.config && recorder.parameters.size === 0) throw noTarget(adapter.config, model, recorder)
  // as the first adapter of a model is named, so that hashes can be compared
  const layout = layoutParameters(recorder.parameters.values(), 'adapter0.')
  const rules = optimizerOptions(o, model.head.path, [...recorder.parameters.values()])
  const rows = o.perDeviceTrainBatchSize * o.gradientAccumulationSteps
  const rowTokens = Math.min(o.maxLength ?? model.maxPositions, model.maxPositions)
  const memory = memoryLimit(o.memory)
  const term = coefficientOf(model, o, objective)
  const whole = wholeBatches(term, o.gradientAccumulationSteps)
  const budget = planBudget(device, {
    spec: {
      model,
      adapter,
      activation,
      layout,
      score,
      term: { batches: whole ?? 1, trained: term !== 0 },
      gradients: true,
      noise: o.neftuneNoiseAlpha ?? 0,
    },
    memory: memory ?? { bytes: Number.POSITIVE_INFINITY, unit: 'MiB' },
    store: storeBytes(recorder, layout, rules, () => o.useBnbNestedQuant),
    longest: whole ? o.perDeviceTrainBatchSize * rowTokens : rowTokens,
    stepTokens: rows * rowTokens,
    maxPassTokens: o.maxPassTokens,
    lean: { base: o.loadIn4bit, optimizer: is8bit(o.optim) },
  })
  const { full } = budget
  const headChunk = chunkOf({ model, activation }, budget.maxPassTokens)
  const update = optimizerPlan(layout, rules, device.describe().scratch)
  const rowsOfPass = Math.min(rows, Math.max(1, Math.floor(budget.maxPassTokens / rowTokens)))
  const passes = Math.ceil(rows / rowsOfPass)
  const work = { chunks: Math.ceil((rowsOfPass * rowTokens) / headChunk), pairs: (rowsOfPass * rowTokens * (rowTokens + 1)) / 2 }
  const rates = ratesOf(device)
  const seconds = passes * predictSeconds(full, work, rates) + predictSeconds(update, { chunks: 1 }, rates)
  const trained = count(recorder.parameters.values())
  return {
    model: name,
    family: model.family,
    layers: model.layers,
    device: `${device.describe().kind}, ${device.describe().label}`,
    precision: activation,
    parameters: { all: count(recorder.weights.values()) + trained, trained },
    step: { rows, rowTokens, passes, passTokens: budget.maxPassTokens, headChunk },
    flops: flopsOf(full, update, work, passes),
    memory: memoryOf([full, update], {
      scope: layout.scope,
      state: statesOf(layout, rules.rule).map(({ name }) => name),
      nested: () => o.useBnbNestedQuant,
      budget: memory?.bytes ?? null,
      overhead: overheadOf(device.describe(), model.vocab),
      places: budget.places,
      dense: budget.dense,
    }),
    seconds,
    tokensPerSecond: (rows * rowTokens) / seconds,
    hash: full.hash,
  }
}

function flopsOf(full: Plan, update: Plan, work: Work, passes: number): PlanReport['flops'] {
  const segments = [
    { plan: full, times: passes },
    { plan: update, times: 1 },
  ].flatMap(({ plan, times }) =>
    plan.segments.map((segment) => {
      const { flops, recomputed } = countFlops({ ...plan, segments: [segment] }, work)
      return { name: segment.name, flops: times * (flops + recomputed), recomputed: times * recomputed }
    }),
  )
  return { segments, total: segments.reduce((sum, { flops }) => sum + flops, 0) }
}

function count(specs: Iterable<{ rows: number; cols: number }>): number {
  let sum = 0
  for (const { rows, cols } of specs) sum += rows * cols
  return sum
}
