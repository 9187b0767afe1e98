/**
 * The loop, top to bottom: each optimizer step's rows in as few passes as fit, then the optimiser; logs, evaluation and checkpoints as
 * transformers times them. What it does is yielded as events. A stop between or within steps loses nothing: trained tensors change only in
 * the optimiser's own run, so the last finished step is saved.
 */

import type { Pass } from '../data/passes.ts'
import { firstNonFinite } from '../engine/diagnose.ts'
import { countFlops } from '../engine/predict.ts'
import { passLoss, passMetrics, visiblePairs } from '../engine/runner.ts'
import { option, SaqrError, say } from '../error.ts'
import { checkpointsOf, type Resumed, type RunFacts, removeOldCheckpoints, saveCheckpoint } from './checkpoint.ts'
import { type StepData, stepData } from './data.ts'
import { evaluate } from './evaluate.ts'
import { type EndEvent, type LogEvent, logEntry, type ProgressEvent } from './events.ts'
import { evalSteps, stepsOf } from './options/rules.ts'
import { rescue } from './rescue.ts'
import { type Run, runFacts } from './run.ts'
import { learningRateAt } from './schedule.ts'
import { Speedometer } from './speed.ts'
import type { TrainerState } from './state.ts'

interface Progress {
  /** optimizer steps done */
  step: number
  numTokens: number
  totalFlos: number
  facts: RunFacts
  history: Record<string, number>[]
}

export async function* trainLoop(
  run: Run,
  resumed: Resumed | null,
  outputDir: string,
  signal?: AbortSignal,
): AsyncGenerator<ProgressEvent | EndEvent> {
  const { options: o, steps, sampler, model } = run
  const speed = new Speedometer(model.open.device, model.open.choice.dtype)
  const p: Progress = {
    step: resumed?.state.globalStep ?? 0,
    numTokens: resumed?.state.numInputTokensSeen ?? 0,
    totalFlos: resumed?.state.totalFlos ?? 0,
    facts: resumed?.facts ?? { ...runFacts(run), lossSum: 0, lossSteps: 0, totalLoss: 0, entropySum: 0, accuracySum: 0 },
    history: resumed?.state.logHistory ?? [],
  }
  const epochAt = (done: number) => epochOf(run, done)
  const started = performance.now()
  let saved = resumed ? p.step : 0
  let last: ProgressEvent | null = null
  model.trainables.zeroGradients()

  const save = async (): Promise<ProgressEvent> => {
    // a save that fails is not tried again on the way out
    saved = p.step
    const write = (folder: string) => saveCheckpoint(folder, model, run.optimizer, stateOf(run, p), p.facts)
    const path = await write(outputDir).catch(async (error: unknown) => {
      throw await rescue(
        error,
        write,
        (there) => say`Go on from there with ${option('resumeFromCheckpoint')} ${there} when ${outputDir} can be written.`,
      )
    })
    removeOldCheckpoints(outputDir, o.saveTotalLimit)
    return { type: 'save', step: p.step, path }
  }

  let finished = false
  try {
    while (p.step < steps && !signal?.aborted) {
      const data = stepData(run.examples, sampler, p.step, run.cut)
      const { loss, gradNorm, flops, entropy, accuracy } = await oneStep(run, data, p.step, signal)
      const learningRate = learningRateAt(p.step, steps, o)
      p.step++
      p.numTokens += data.rowTokens
      p.totalFlos += flops
      p.facts.lossSum += loss
      p.facts.totalLoss += loss
      p.facts.lossSteps++
      p.facts.entropySum += entropy
      p.facts.accuracySum += accuracy
      speed.add(data, flops)
      const epoch = epochAt(p.step)
      yield { type: 'step', step: p.step, epoch, loss, elapsed: (performance.now() - started) / 1000, ...speed.step() }

      const due = dueAt(run, p.step)
      if (due.log) {
        const event: LogEvent = {
          type: 'log',
          step: p.step,
          epoch,
          loss: p.facts.lossSum / p.facts.lossSteps,
          gradNorm,
          learningRate,
          entropy: p.facts.entropySum / p.facts.lossSteps,
          numTokens: p.numTokens,
          meanTokenAccuracy: p.facts.accuracySum / p.facts.lossSteps,
          ...speed.log(),
        }
        p.facts.lossSum = 0
        p.facts.lossSteps = 0
        p.facts.entropySum = 0
        p.facts.accuracySum = 0
        p.history.push(logEntry(event))
        yield event
      }
      if (due.evaluate) {
        const event = await speed.aside(() => evaluate(run, p, epoch, signal))
        p.history.push(logEntry(event))
        yield event
      }
      if (due.save) yield await speed.aside(save)
    }
    finished = p.step >= steps
  } catch (error) {
    if (!signal?.aborted) throw error
  } finally {
    // stopped, failed, or the reader of the events left: the last finished step is kept
    if (!finished && p.step > saved) last = await save()
  }

  if (!finished && last) yield last
  yield end(run, p, started, finished ? null : (checkpointsOf(outputDir).at(-1)?.path ?? null))
}

/** Of an optimizer step; entropy (nats) and accuracy are means over its targets. */
interface StepResult {
  loss: number
  gradNorm: number
  flops: number
  entropy: number
  accuracy: number
}

/** One optimizer step. @throws SaqrError TRAIN_NAN naming where a number stopped being one; trained tensors are then as before the step */
async function oneStep(run: Run, data: StepData, step: number, signal?: AbortSignal): Promise<StepResult> {
  const { runner, optimizer, options: o, steps } = run
  const inputs = { seed: o.seed, step, lossScale: 1 / Math.max(1, data.targets) }
  const sum = { loss: 0, flops: 0, entropy: 0, correct: 0 }
  for (const pass of data.passes) {
    const scores = await runner.run(pass, inputs, signal)
    const part = passLoss(pass, scores)
    if (!Number.isFinite(part)) throw await notANumber(run, data, step, 'the loss')
    const { entropy, correct } = passMetrics(pass, scores)
    sum.loss += part
    sum.flops += passFlops(run, pass)
    sum.entropy += entropy
    sum.correct += correct
  }
  const gradNorm = await optimizer.step(step + 1, learningRateAt(step, steps, o), o.maxGradNorm)
  if (!Number.isFinite(gradNorm)) throw await notANumber(run, data, step, 'the gradient norm')
  const { lossScale } = inputs
  return {
    loss: sum.loss * lossScale,
    gradNorm,
    flops: sum.flops,
    entropy: sum.entropy * lossScale,
    accuracy: sum.correct * lossScale,
  }
}

/** of the tokens computed and the positions with a target: padding and the rest of the last head chunk don't count */
function passFlops({ runner }: Run, pass: Pass): number {
  const chunks = pass.headCount / runner.chunkSize(pass.tokens)
  const work = { chunks, pairs: visiblePairs(pass), filled: pass.computedTokens / pass.tokens }
  const { flops, recomputed } = countFlops(runner.plan(pass.tokens).plan, work)
  return flops + recomputed
}

async function notANumber(run: Run, data: StepData, step: number, what: string): Promise<SaqrError> {
  const { runner, model, options: o } = run
  const inputs = { seed: o.seed, step, lossScale: 1 / Math.max(1, data.targets) }
  for (const pass of data.passes) {
    const culprit = await firstNonFinite(model.open.device, runner, pass, inputs)
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

function dueAt(run: Run, step: number): { log: boolean; evaluate: boolean; save: boolean } {
  const { options: o, steps, sampler, evalExamples } = run
  const last = step === steps
  const epochEnds = step % sampler.stepsPerEpoch === 0 || last
  const every = (interval: number) => step % Math.max(1, stepsOf(interval, steps)) === 0
  const when = (strategy: string, interval: number) => (strategy === 'steps' ? every(interval) : strategy === 'epoch' && epochEnds)
  return {
    log: when(o.loggingStrategy, o.loggingSteps) || (o.loggingFirstStep && step === 1),
    evaluate: evalExamples !== null && when(o.evalStrategy, evalSteps(o)),
    save: when(o.saveStrategy, o.saveSteps) || (last && o.saveStrategy !== 'no'),
  }
}

/** transformers' epoch after `done` optimizer steps: whole epochs, and the share of the batches of this one */
function epochOf({ sampler, options: o }: Run, done: number): number {
  const whole = Math.floor(done / sampler.stepsPerEpoch)
  const batches = (done % sampler.stepsPerEpoch) * o.gradientAccumulationSteps
  return whole + batches / sampler.batchesPerEpoch
}

function stateOf(run: Run, p: Progress): TrainerState {
  const { options: o, steps } = run
  return {
    epoch: epochOf(run, p.step),
    globalStep: p.step,
    maxSteps: steps,
    numTrainEpochs: Math.ceil(o.maxSteps > 0 ? steps / run.sampler.stepsPerEpoch : o.numTrainEpochs),
    trainBatchSize: o.perDeviceTrainBatchSize,
    loggingSteps: stepsOf(o.loggingSteps, steps),
    evalSteps: stepsOf(evalSteps(o), steps),
    saveSteps: stepsOf(o.saveSteps, steps),
    numInputTokensSeen: p.numTokens,
    totalFlos: p.totalFlos,
    logHistory: p.history,
  }
}

function end(run: Run, p: Progress, started: number, stopped: string | null): EndEvent {
  const seconds = (performance.now() - started) / 1000
  const { perDeviceTrainBatchSize, gradientAccumulationSteps } = run.options
  return {
    type: 'end',
    step: p.step,
    stopped,
    metrics: {
      trainRuntime: seconds,
      trainSamplesPerSecond: (p.step * perDeviceTrainBatchSize * gradientAccumulationSteps) / seconds,
      trainStepsPerSecond: p.step / seconds,
      totalFlos: p.totalFlos,
      trainLoss: p.facts.totalLoss / Math.max(1, p.step),
      epoch: epochOf(run, p.step),
    },
  }
}
