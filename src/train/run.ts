/** A prepared run: rows as passes, plans within the budget, optimiser and adapter on the device. What `loop.ts` steps through. */
import type { Example } from '../data/example.ts'
import { Sampler } from '../data/sampler.ts'
import { type Budget, planBudget, storeBytes } from '../engine/budget.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { Optimizer } from '../engine/optimizer.ts'
import { PassRunner } from '../engine/runner.ts'
import { optimizerPlan } from '../graph/optimizer.ts'
import { bounds, type CutOptions } from './data.ts'
import type { MemoryTable } from './events.ts'
import { memoryOf } from './memory.ts'
import { is8bit } from './options/rules.ts'
import type { TrainingOptions } from './options/sft.ts'

export interface RunRequest {
  model: LanguageModel
  examples: readonly Example[]
  evalExamples: readonly Example[] | null
  options: TrainingOptions
  /** bytes; null: what is free */
  memory: number | null
  /** a resumed run keeps the cut of the run it goes on with */
  maxPassTokens: number | null
}

export interface Run extends RunRequest {
  sampler: Sampler
  budget: Budget
  cut: CutOptions
  evalCut: CutOptions
  runner: PassRunner
  evalRunner: PassRunner | null
  optimizer: Optimizer
  /** optimizer steps of the whole run */
  steps: number
  memoryTable: MemoryTable
  dispose(): void
}

/** @throws SaqrError MEMORY_BUDGET, DATA_TOO_FEW_ROWS */
export function prepareRun(request: RunRequest): Run {
  const { model, examples, evalExamples, options: o } = request
  const { device, choice } = model.open
  const { layout } = model.trainables
  const rows = o.perDeviceTrainBatchSize * o.gradientAccumulationSteps
  const sampler = new Sampler({
    rows: examples.length,
    batchSize: o.perDeviceTrainBatchSize,
    accumulationSteps: o.gradientAccumulationSteps,
    seed: o.seed,
    dataSeed: o.dataSeed,
    strategy: o.trainSamplingStrategy,
    dropLast: o.dataloaderDropLast,
  })
  const adamw = { beta1: o.adamBeta1, beta2: o.adamBeta2, eps: o.adamEpsilon, weightDecay: o.weightDecay, eightBit: is8bit(o.optim) }
  const spec = {
    model: model.open.model,
    adapter: model.open.adapter(model.spec, true),
    activation: choice.dtype,
    layout,
    gradients: true,
  }
  const trained = bounds(examples, rows)
  const evaluated = evalExamples ? bounds(evalExamples, o.perDeviceEvalBatchSize).longest : 0
  const budget = planBudget(device, {
    spec,
    memory: request.memory,
    store: storeBytes(model.recorder, layout, adamw, choice.doubleQuant),
    longest: Math.max(trained.longest, evaluated),
    stepTokens: trained.stepTokens,
    maxPassTokens: request.maxPassTokens ?? o.maxPassTokens,
  })
  device.reserve(budget.full.arena)
  const cut = {
    maxPassTokens: budget.maxPassTokens,
    prefixSharing: o.prefixSharing && model.adapter.random === null,
    quantum: device.describe().tokenQuantum,
  }
  const runner = new PassRunner(device, { ...spec, policy: budget.policy })
  const evalRunner = evalExamples
    ? new PassRunner(device, {
        ...spec,
        adapter: model.open.adapter(model.spec, false),
        policy: budget.policy,
        gradients: false,
      })
    : null
  const optimizer = new Optimizer(device, layout, adamw)
  return {
    ...request,
    sampler,
    budget,
    cut,
    evalCut: { ...cut, prefixSharing: o.prefixSharing },
    runner,
    evalRunner,
    optimizer,
    steps: sampler.totalSteps(o),
    memoryTable: memoryOf([budget.full, optimizerPlan(layout, adamw)], {
      scope: layout.scope,
      doubleQuant: choice.doubleQuant,
      budget: request.memory,
      overhead: device.describe().overhead,
    }),
    dispose() {
      runner.dispose()
      evalRunner?.dispose()
      optimizer.dispose()
    },
  }
}

/** what a checkpoint of this run says of it */
export function runFacts({ cut, options: o, examples }: Run) {
  return {
    maxPassTokens: cut.maxPassTokens,
    seed: o.seed,
    dataSeed: o.dataSeed ?? o.seed,
    batchSize: o.perDeviceTrainBatchSize,
    accumulationSteps: o.gradientAccumulationSteps,
    examples: examples.length,
  }
}
