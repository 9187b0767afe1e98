/** A prepared run: rows as passes, plans within the budget, optimiser and adapter on the device. What `loop.ts` steps through. */

import { breathe } from '../data/breathe.ts'
import type { Example } from '../data/example.ts'
import { Sampler } from '../data/sampler.ts'
import { overheadOf } from '../devices/device.ts'
import { bytesBeside } from '../engine/beside.ts'
import { type Budget, type BudgetRequest, type MemoryLimit, movePlaces, storeBytes } from '../engine/budget.ts'
import { grantedBudget } from '../engine/granted.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { Optimizer } from '../engine/optimizer.ts'
import { PassRunner } from '../engine/runner.ts'
import { option, SaqrError, say } from '../error.ts'
import { optimizerPlan, statesOf } from '../graph/optimizer.ts'
import type { EvalEvent, MemoryTable } from '../track/events.ts'
import type { BaseWeights } from './base-weights.ts'
import { followed } from './best.ts'
import type { RunFacts } from './checkpoint.ts'
import { stepData } from './data.ts'
import { evalBatches } from './evaluate.ts'
import { type Identity, identityOf } from './identity.ts'
import { memoryOf } from './memory.ts'
import type { CutOptions, Objective } from './objectives/objective.ts'
import { coefficientOf, wholeBatches, withTerm } from './objectives/term.ts'
import { is8bit, optimizerOptions } from './optim.ts'
import type { CommonOptions } from './options/common-config.ts'
import { scheduleOptions } from './options/rules.ts'
import type { TrainableModel } from './options/trainer-types.ts'
import { besideOf } from './reference.ts'
import { followsMetric, type Schedule, scheduleOf } from './schedule/schedule.ts'
import type { Survey } from './survey.ts'
import { neverEvaluates } from './timing.ts'

export interface RunRequest {
  objective: Objective
  model: LanguageModel
  examples: readonly Example[]
  evalExamples: readonly Example[] | null
  /** what is known of them all */
  looked: Survey
  evalLooked: Survey | null
  options: CommonOptions
  /** null: what is free */
  memory: MemoryLimit | null
  /** what the objective measures against; null: the model as training begins */
  refModel: TrainableModel | null
  /** a resumed run keeps what the run it goes on with had: its cut, and what its schedule remembers where that is still the same one */
  goesOn: Pick<RunFacts, 'maxPassTokens' | 'schedule' | 'identity'> | null
  base: BaseWeights
}

export interface Run extends RunRequest {
  /** what multiplies the model's own term of the loss */
  term: number
  sampler: Sampler
  budget: Budget
  cut: CutOptions
  evalCut: CutOptions
  runner: PassRunner
  evalRunner: PassRunner | null
  optimizer: Optimizer
  /** optimizer steps of the whole run */
  steps: number
  schedule: Schedule
  /** the metric of an evaluation that the schedule follows */
  followed(event: EvalEvent): number
  /** without the base's weights, which are known later */
  identity: Identity
  memoryTable: MemoryTable
  dispose(): void
}

/** @throws SaqrError MEMORY_BUDGET, DATA_TOO_FEW_ROWS; the signal's reason */
export async function prepareRun(request: RunRequest, signal?: AbortSignal): Promise<Run> {
  const { model, examples, evalExamples, looked, evalLooked, options: o } = request
  const term = coefficientOf(model.opened.model, o, request.objective)
  const objective = withTerm(request.objective, model.opened.model, term)
  const whole = wholeBatches(term, o.gradientAccumulationSteps)
  const { device, choice } = model.opened
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
  const steps = sampler.totalSteps(o)
  if (followsMetric(o.lrSchedulerType) && neverEvaluates(steps, sampler.stepsPerEpoch, o))
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('lrSchedulerType')} ${o.lrSchedulerType} follows evaluations, and ${option('evalDelay')} ${o.evalDelay} is beyond the end of the run (${steps} steps): lower it`,
    )
  const update = optimizerOptions(o, model.opened.model.head.path, [...model.recorder.parameters.values()])
  const spec = {
    model: model.opened.model,
    adapter: model.opened.adapter(model.spec, !objective.still),
    activation: choice.dtype,
    layout,
    score: objective.score,
    term: { batches: whole ?? 1, trained: term !== 0 },
    gradients: true,
    noise: o.neftuneNoiseAlpha ?? 0,
  }
  if (evalExamples) evalBatches(evalExamples, o)
  const trained = looked.sizes.bounds(rows)
  const prefixSharing = o.prefixSharing && (objective.still === true || model.adapter.random === null) && !o.neftuneNoiseAlpha
  const together = whole ? 'batch' : objective.together
  const longest = ({ sizes }: Survey, batch: number) => sizes.bounds(batch, together, prefixSharing).longest
  const longestBatch = together === 'sequence' ? trained.longest : longest(looked, o.perDeviceTrainBatchSize)
  const evaluated = evalLooked ? longest(evalLooked, o.perDeviceEvalBatchSize) : 0
  const beside = bytesBeside(model)
  const reference = besideOf(request.refModel, model, objective.score)
  const move = (planned: Budget) => {
    device.limits() // measured the first time on this machine, while the memory for that is free
    movePlaces(device, planned)
  }
  const wanted: BudgetRequest = {
    spec,
    memory: request.memory,
    store: storeBytes(model.recorder, layout, update, model.opened.nested) + beside,
    beside: reference ? (tokens) => reference.weights + reference.passes(tokens) : undefined,
    longest: Math.max(longestBatch, evaluated),
    stepTokens: trained.stepTokens,
    maxPassTokens: request.goesOn?.maxPassTokens ?? o.maxPassTokens,
    lean: { base: choice.loadIn4bit, optimizer: is8bit(o.optim) },
  }
  const budget = grantedBudget(device, wanted, move)
  const cut = {
    maxPassTokens: budget.maxPassTokens,
    prefixSharing,
    quantum: device.describe().tokenQuantum,
    longBeyond: model.opened.model.longBeyond,
    wholeBatches: whole,
  }
  if (together !== 'sequence' && cut.maxPassTokens < longestBatch) await layAllOut(objective, examples, sampler, steps, cut, signal)
  const runner = new PassRunner(device, { ...spec, policy: budget.policy, overlaps: budget.overlaps }, budget.take)
  const evalRunner =
    evalExamples || objective.reference
      ? new PassRunner(device, {
          ...spec,
          adapter: model.opened.adapter(model.spec, false),
          term: { batches: 1, trained: false },
          gradients: false,
          noise: 0,
        })
      : null
  const { name, facts } = objective
  const identity = identityOf({
    objective: name,
    facts,
    model,
    rows: { count: examples.length, digest: looked.digest },
    evaluationRows: evalLooked?.digest ?? null,
    options: o,
    steps,
  })
  const schedule = scheduleOf(scheduleOptions(o, steps), steps, remembered(request, identity))
  const optimizer = new Optimizer(device, layout, update)
  return {
    ...request,
    objective,
    term,
    sampler,
    budget,
    cut,
    evalCut: { ...cut, prefixSharing: o.prefixSharing, wholeBatches: whole && 1 },
    runner,
    evalRunner,
    optimizer,
    steps,
    schedule,
    followed: followed(objective, o),
    identity,
    memoryTable: memoryOf([budget.full, optimizerPlan(layout, update, device.describe().scratch)], {
      scope: layout.scope,
      state: statesOf(layout, update.rule).map(({ name }) => name),
      nested: model.opened.nested,
      budget: request.memory?.bytes ?? null,
      overhead: overheadOf(device.describe(), model.opened.model.vocab),
      places: budget.places,
      dense: budget.dense,
      beside,
      reference: reference && { weights: reference.weights, passes: reference.passes(budget.maxPassTokens) },
    }),
    dispose() {
      request.base.stop()
      device.dropDense?.(budget)
      runner.dispose()
      evalRunner?.dispose()
      optimizer.dispose()
    },
  }
}

/** Passes of a given size may hold no micro-batch whole: that is told before the first step. @throws SaqrError DATA_ROW_TOO_LONG */
async function layAllOut(
  objective: Objective,
  examples: readonly Example[],
  sampler: Sampler,
  steps: number,
  cut: CutOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  let breath = performance.now()
  for (let step = 0; step < steps; step++) {
    stepData(objective, examples, sampler, step, cut)
    breath = await breathe(breath, signal)
  }
}

/** what a schedule learned of evaluations, as long as it is the same schedule */
function remembered({ goesOn }: RunRequest, now: Identity): Record<string, number> | null {
  const same = SCHEDULE.every((key) => goesOn?.identity.options[key] === now.options[key])
  return goesOn && same ? goesOn.schedule : null
}

const SCHEDULE = ['lrSchedulerType', 'lrSchedulerKwargs', 'learningRate', 'warmupSteps', 'metricForBestModel']
