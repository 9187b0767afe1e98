/** One optimizer step: its passes, then the optimiser. A number that is none ends the run before anything trained has changed. */
import type { Pass } from '../data/passes.ts'
import { firstNonFinite } from '../engine/diagnose.ts'
import { oneAhead } from '../engine/one-ahead.ts'
import { countFlops } from '../engine/predict.ts'
import { type PassScores, visiblePairs } from '../engine/runner.ts'
import { SaqrError, say } from '../error.ts'
import type { StepData } from './data.ts'
import { addScores, type ByMetric, noSums } from './objectives/objective.ts'
import { termScale } from './objectives/term.ts'
import type { Run } from './run.ts'
import { addUsage, type ExpertUsage } from './usage.ts'

export interface StepResult {
  loss: number
  gradNorm: number
  flops: number
  /** over the passes, of every metric */
  sums: ByMetric
  /** how often each expert was chosen; null: the model has none */
  experts: ExpertUsage | null
}

export interface StepOptions {
  signal?: AbortSignal
  /** its first pass, where that was begun already */
  begun?: Promise<PassScores> | null
  /** All that it asks of the device is queued there: what comes next may be begun. */
  onQueued?: () => void
}

/** The first pass of a step: gradients of trained tensors as they are, or as what the device has queued leaves them. */
export function beginStep(run: Run, data: StepData, step: number, signal?: AbortSignal): Promise<PassScores> {
  const scores = run.objective.run(run.runner, data.passes[0]!, inputsOf(run, data, step), data, signal)
  scores.catch(() => {}) // the step's to tell
  return scores
}

/** @param step from 0. @throws SaqrError TRAIN_NAN naming where a number stopped being one, or DEVICE_…; trained tensors are then as before the step */
export async function optimizerStep(run: Run, data: StepData, step: number, options: StepOptions = {}): Promise<StepResult> {
  const { runner, optimizer, objective, schedule, options: o } = run
  const { signal, begun, onQueued = () => {} } = options
  const inputs = inputsOf(run, data, step)
  const sums = noSums(objective)
  let flops = 0
  let experts: ExpertUsage | null = null
  const begin = (pass: Pass) => during(step, begun && pass === data.passes[0] ? begun : objective.run(runner, pass, inputs, data, signal))
  for await (const [pass, scores] of oneAhead(data.passes, begin, runner.queues)) {
    addScores(sums, objective, data, pass, scores)
    const { counts } = scores.results
    if (counts) experts = addUsage(experts, counts)
    if (!Number.isFinite(sums[objective.loss.name])) throw await notANumber(run, data, step, 'the loss')
    flops += passFlops(run, pass)
  }
  run.model.onGradients?.({ step: step + 1, examples: data.examples, batchOf: data.batchOf })
  const updated = during(step, optimizer.step(step + 1, schedule.rate(step), o.maxGradNorm))
  onQueued()
  const gradNorm = await updated
  if (!Number.isFinite(gradNorm)) throw await notANumber(run, data, step, 'the gradient norm')
  return { loss: sums[objective.loss.name]! / data.normaliser, gradNorm, flops, sums, experts }
}

/** What a device refuses in this step says so. */
export async function during<T>(step: number, work: Promise<T>): Promise<T>
export async function during<T>(step: number, work: Promise<T> | null): Promise<T | null>
export async function during<T>(step: number, work: Promise<T> | null): Promise<T | null> {
  try {
    return await work
  } catch (cause) {
    throw cause instanceof SaqrError ? new SaqrError(cause.code, say`step ${step + 1}: ${cause.said}`, { cause }) : cause
  }
}

function inputsOf({ options: o, term }: Run, { normaliser, batchTargets }: StepData, step: number) {
  return { seed: o.seed, step, lossScale: 1 / normaliser, termScale: termScale(term, batchTargets.length) }
}

/** of the tokens computed and the positions with a target: padding and the rest of the last head chunk don't count */
function passFlops({ runner }: Run, pass: Pass): number {
  const chunks = pass.headCount / runner.chunkSize(pass.tokens)
  const work = { chunks, pairs: visiblePairs(pass), filled: pass.computedTokens / pass.tokens }
  const { flops, recomputed } = countFlops(runner.plan(pass.tokens).plan, work)
  return flops + recomputed
}

async function notANumber(run: Run, data: StepData, step: number, what: string): Promise<SaqrError> {
  const { runner, model } = run
  for (const pass of data.passes) {
    const culprit = await firstNonFinite(model.opened.device, runner, pass, inputsOf(run, data, step))
    if (!culprit) continue
    const { op, module, segment } = culprit
    return new SaqrError(
      'TRAIN_NAN',
      `step ${step + 1}: ${what} is no number. The first such value comes from op ${op} of ${module} (${segment}). Trained weights are as they were before this step; lower the learning rate, or look at the rows of this step.`,
    )
  }
  return new SaqrError(
    'TRAIN_NAN',
    `step ${step + 1}: ${what} is no number, although every op's results are finite: gradients overflowed in their sum. Lower the learning rate.`,
  )
}
