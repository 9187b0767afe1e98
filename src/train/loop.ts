/**
 * The loop, top to bottom: each optimizer step's rows in as few passes as fit, then the optimiser; logs, evaluation and checkpoints as
 * transformers times them. What it does is yielded as events. A stop between or within steps loses nothing: trained tensors change only in
 * the optimiser's own run, so the last finished step is saved.
 */

import { join } from 'node:path'
import { collectGarbage, isHeapCounted } from '../engine/heap.ts'
import { option, SaqrError, say } from '../error.ts'
import {
  type EndEvent,
  type EvalEvent,
  type LogEvent,
  logEntry,
  type ProgressEvent,
  type SaveEvent,
  type WarningEvent,
} from '../track/events.ts'
import { warning } from '../track/told.ts'
import { Ahead } from './ahead.ts'
import { asksForBest, judged, NO_BEST, outOfPatience } from './best.ts'
import { TrainerControl, withAsked } from './callbacks.ts'
import {
  checkpointOf,
  checkpointsOf,
  type Resumed,
  type RunFacts,
  removeOldCheckpoints,
  removeOthers,
  restoreTrained,
  saveCheckpoint,
} from './checkpoint.ts'
import { evaluate } from './evaluate.ts'
import { nameOf, WEIGHTS, withWeights } from './identity.ts'
import { addMeans, meanOf, measured, noMeans } from './objectives/objective.ts'
import type { CommonOptions } from './options/common-config.ts'
import { camel } from './options/field.ts'
import { evalSteps, stepsOf } from './options/rules.ts'
import { rescue } from './rescue.ts'
import type { Run } from './run.ts'
import { Speedometer } from './speed.ts'
import type { TrainerState } from './state.ts'
import { optimizerStep } from './step.ts'
import { actionsAfter, atEpochsEnd } from './timing.ts'
import { idleExperts, shares, sum } from './usage.ts'

interface Progress {
  /** optimizer steps done */
  step: number
  /** of this call: its first step, rows and losses of its steps */
  first: number
  rows: number
  losses: number
  /** rows' tokens of the whole run, and those before this call */
  numTokens: number
  firstTokens: number
  totalFlos: number
  facts: RunFacts
  history: Record<string, number>[]
}

export async function* trainLoop(
  run: Run,
  resumed: Resumed | null,
  outputDir: string,
  signal?: AbortSignal,
  control: TrainerControl = new TrainerControl(),
): AsyncGenerator<ProgressEvent | EndEvent> {
  const { options: o, steps, sampler, model, schedule } = run
  const speed = new Speedometer(model.opened.device, model.opened.choice.dtype)
  const p: Progress = {
    step: resumed?.state.globalStep ?? 0,
    first: resumed?.state.globalStep ?? 0,
    rows: 0,
    losses: 0,
    numTokens: resumed?.state.numInputTokensSeen ?? 0,
    firstTokens: resumed?.state.numInputTokensSeen ?? 0,
    totalFlos: resumed?.state.totalFlos ?? 0,
    facts: factsOf(run, resumed, outputDir),
    history: [...(resumed?.state.logHistory ?? [])],
  }
  const started = performance.now()
  // the newest checkpoint; null: there is none yet
  let newest = resumed && { step: p.step, path: resumed.path }
  model.trainables.zeroGradients()

  let tried = p.step
  /** what there is to tell of checkpoints */
  const told: WarningEvent[] = []
  /** it was told that checkpoints don't name the base's weights */
  let unnamed = false
  /** @param leaving nobody waits for what comes after: the base is not waited for as long as it takes */
  const save = async (leaving = false): Promise<SaveEvent> => {
    // a save that fails is not tried again on the way out
    tried = p.step
    if (run.memory !== null && isHeapCounted(model.opened.device.describe())) collectGarbage()
    if (p.facts.identity.same[WEIGHTS] === undefined) {
      const weights = await run.base.digest(leaving ? AbortSignal.abort() : signal)
      if ('digest' in weights) p.facts.identity = withWeights(run.identity, weights.digest)
      else if (!unnamed) {
        unnamed = true
        told.push(
          warning(
            `the checkpoint of step ${p.step}, and any behind it, doesn’t say which weights ${model.opened.checkpoint.path} has (${weights.why}): who goes on from it isn’t warned of others`,
          ),
        )
      }
    }
    const write = async (folder: string) => {
      const { best } = p.facts
      if (best.step !== null && (best.step === p.step || checkpointOf(folder, p.facts.run, best.step))) best.saved = best.step
      return await saveCheckpoint(folder, model, run.optimizer, stateOf(run, p, outputDir), p.facts)
    }
    const path = await write(outputDir).catch(async (error: unknown) => {
      if (ofDevice(error)) throw error // no other folder helps
      throw await rescue(
        error,
        write,
        (there) => say`Go on from there with ${option('resumeFromCheckpoint')} ${there} when ${outputDir} can be written.`,
      )
    })
    newest = { step: p.step, path }
    removeOldCheckpoints(outputDir, o.saveTotalLimit, p.facts)
    return { type: 'save', ...newest }
  }
  const score = async (): Promise<EvalEvent> => {
    const event = await evaluate(run, p, epochOf(run, p.step), signal)
    p.history.push(logEntry(event))
    return event
  }

  /** What a device refused is told with what there is to go on from. One that is lost gives nothing back: what it says then is the same again. */
  const kept = async (failure: SaqrError): Promise<SaqrError> => {
    if (p.step > tried)
      await save(true).catch((error: unknown) => {
        if (!ofDevice(error)) throw error
      })
    return withLast(failure, newest)
  }

  const ahead = new Ahead(run, signal)
  let finished = false
  let onLeaving: SaveEvent | null = null
  try {
    if (o.saveStrategy !== 'no') run.base.begin()
    if (o.evalOnStart) yield await speed.aside(score)
    while (!signal?.aborted) {
      p.facts.due = withAsked(p.facts.due, control, {
        log: Object.values(p.facts.means.weights).some((weight) => weight > 0),
        evaluate: run.evalExamples !== null,
      })
      if (control.shouldTrainingStop && !p.facts.ended) endEarly(run, p)
      // what a step leaves to be done is kept in a checkpoint until it is done: a run stopped before goes on there
      const [action] = p.facts.due
      if (action) {
        const did = () => p.facts.due.shift()
        if (action === 'log') {
          const epoch = epochOf(run, p.step)
          const event: LogEvent = { type: 'log', step: p.step, epoch, ...p.facts.lastStep, ...logged(run, p), ...speed.log() }
          p.history.push(logEntry(event))
          did()
          yield event
        } else if (action === 'evaluate') {
          await ahead.landed()
          const event = await speed.aside(score)
          schedule.evaluated?.(run.followed(event))
          did()
          if (asksForBest(o)) {
            const before = p.facts.best
            p.facts.best = judged(before, p.step, run.followed(event), o)
            if (o.saveStrategy === 'best' && p.facts.best.step !== before.step) p.facts.due.unshift('save')
            if (!p.facts.ended && outOfPatience(p.facts.best, o)) endEarly(run, p)
          }
          yield event
        } else {
          did()
          await ahead.landed()
          yield await speed.aside(save)
          yield* told.splice(0)
        }
        continue
      }
      if (p.step >= steps || p.facts.ended) break
      const { data, begun } = await ahead.take(p.step)
      const onQueued = () => {
        const due = actionsAfter({ step: p.step + 1, steps, stepsPerEpoch: sampler.stepsPerEpoch }, o)
        // what is saved or evaluated would wait for it
        if (due.every((action) => action === 'log') && !control.shouldTrainingStop) ahead.begin()
      }
      const doing = optimizerStep(run, data, p.step, { signal, begun, onQueued })
      if (p.step + 1 < steps) ahead.layOut(p.step + 1)
      const result = await doing
      p.facts.lastStep = { gradNorm: result.gradNorm, learningRate: schedule.rate(p.step) }
      p.step++
      p.numTokens += data.seenTokens ?? data.rowTokens
      p.totalFlos += result.flops
      addMeans(p.facts.means, run.objective, data, result.sums)
      const { experts } = p.facts
      p.facts.experts = { run: sum(experts.run, result.experts), log: sum(experts.log, result.experts) }
      p.rows += data.rows
      p.losses += result.loss
      p.facts.due = actionsAfter({ step: p.step, steps, stepsPerEpoch: sampler.stepsPerEpoch }, o)
      speed.add(data, result.flops)
      const epoch = epochOf(run, p.step)
      yield { type: 'step', step: p.step, epoch, loss: result.loss, elapsed: (performance.now() - started) / 1000, ...speed.step() }
    }
    finished = (p.step >= steps || p.facts.ended) && p.facts.due.length === 0
  } catch (error) {
    if (!signal?.aborted) throw ofDevice(error) ? await kept(error) : error
  } finally {
    await ahead.stop()
    // stopped, failed, or the reader of the events left: the last finished step is kept
    if (!finished && p.step > tried) onLeaving = await save(true)
  }

  if (onLeaving) yield onLeaving
  yield* told
  const idle = p.facts.experts.run && idleExperts(p.facts.experts.run)
  if (finished && idle) yield { type: 'note', message: idle }
  if (finished && p.facts.ended && p.step < steps) yield { type: 'note', message: whyEarly(run, p) }
  let checkpoint = newest?.step === p.step ? newest.path : null
  if (finished && o.loadBestModelAtEnd) {
    const best = loadBest(run, p, outputDir)
    checkpoint = best.path ?? checkpoint
    yield { type: 'note', message: best.told }
  }
  yield end(run, p, started, { finished, checkpoint, stopped: finished ? null : (newest?.path ?? null) })
}

/** The run ends after this step: what its epoch's end does is done. */
function endEarly(run: Run, p: Progress): void {
  const { options: o, sampler, steps } = run
  p.facts.ended = true
  const within = p.step % sampler.stepsPerEpoch !== 0 && p.step < steps
  if (within) p.facts.due.push(...atEpochsEnd(epochOf(run, p.step), o).filter((action) => !p.facts.due.includes(action)))
}

function whyEarly({ options: o, steps }: Run, { facts: { best }, step }: Progress): string {
  const why = outOfPatience(best, o)
    ? `${metricOf(o)} has not got better than ${best.value?.toFixed(4)} (step ${best.step}) in ${best.worse} evaluations`
    : 'a callback said so'
  return `the run ends after ${step} of ${steps} steps: ${why}`
}

const metricOf = ({ metricForBestModel }: CommonOptions) => `eval_${(metricForBestModel ?? 'loss').replace(/^eval_/, '')}`

/** The model becomes that of the best evaluation. */
function loadBest({ model, options: o }: Run, { facts, step }: Progress, outputDir: string): { path?: string; told: string } {
  const { best, run } = facts
  const path = checkpointOf(outputDir, run, best.saved)
  if (path === undefined) return { told: 'no evaluation has a checkpoint: the model is that of the last step' }
  if (best.saved !== step) restoreTrained(path, model)
  if (o.saveTotalLimit === 1) removeOthers(outputDir, facts)
  const value = best.saved === best.step ? ` (${metricOf(o)} ${best.value?.toFixed(4)})` : ''
  return { path, told: `the model is that of step ${best.saved}, the best of those with a checkpoint${value}` }
}

function ofDevice(error: unknown): error is SaqrError {
  return error instanceof SaqrError && /^(DEVICE|MEMORY)_/.test(error.code)
}

/** The error, and what there is to go on from. */
function withLast(error: SaqrError, newest: { path: string } | null): SaqrError {
  const then = newest
    ? say`The last checkpoint is whole: go on from there with ${option('resumeFromCheckpoint')} ${newest.path}.`
    : say`No checkpoint had been written: ${option('saveSteps')} says how often one is.`
  return new SaqrError(error.code, say`${error.said} ${then}`, { cause: error })
}

/** Of a new run, or of the one that goes on. */
export function factsOf(
  { cut, identity, objective, schedule, evalExamples, options }: Run,
  resumed: Resumed | null,
  outputDir: string,
): RunFacts {
  const now = { identity, maxPassTokens: cut.maxPassTokens, schedule: schedule.memory }
  const newest = checkpointsOf(outputDir).at(-1)?.start ?? 0
  if (resumed) {
    const { facts } = resumed
    // another metric has another best
    const same = ['metricForBestModel', 'greaterIsBetter'].every((key) => (facts.identity.options[key] ?? null) === identity.options[key])
    const best = same ? facts.best : { ...NO_BEST }
    // a run that was out of patience has more where somebody gives it more
    const ended = facts.ended && outOfPatience(best, options)
    const due = facts.due.filter((action) => action !== 'evaluate' || evalExamples)
    return { ...facts, ...now, due, best, ended, start: facts.start < newest ? newest + 1 : facts.start }
  }
  const start = newest + 1
  return {
    ...now,
    run: nameOf(identity, start),
    start,
    due: [],
    lastStep: { gradNorm: 0, learningRate: 0 },
    best: { ...NO_BEST },
    ended: false,
    means: noMeans(objective),
    experts: { run: null, log: null },
  }
}

/** Means since the last log, which begin anew. */
function logged({ objective }: Run, { facts, numTokens }: Progress): Pick<LogEvent, 'loss' | 'numTokens' | 'metrics'> {
  const { means } = facts
  const usage = facts.experts.log
  facts.means = noMeans(objective)
  facts.experts = { ...facts.experts, log: null }
  const metrics = measured(means, objective, camel)
  return { loss: meanOf(means, objective.loss), numTokens, metrics: { ...metrics, ...(usage ? shares(usage) : {}) } }
}

/** transformers' epoch after `done` optimizer steps: whole epochs, and the share of the batches of this one */
function epochOf({ sampler, options: o }: Run, done: number): number {
  const whole = Math.floor(done / sampler.stepsPerEpoch)
  const batches = (done % sampler.stepsPerEpoch) * o.gradientAccumulationSteps
  return whole + batches / sampler.batchesPerEpoch
}

function stateOf(run: Run, p: Progress, outputDir: string): TrainerState {
  const { options: o, steps } = run
  const { best, ended } = p.facts
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
    ended,
    best: {
      metric: best.value,
      globalStep: best.step,
      checkpoint: best.saved === null ? null : join(outputDir, `checkpoint-${best.saved}`),
    },
  }
}

/** Of this call, as transformers has it: a resumed run doesn't count what was done before. */
function end(run: Run, p: Progress, started: number, how: Pick<EndEvent, 'finished' | 'checkpoint' | 'stopped'>): EndEvent {
  const seconds = (performance.now() - started) / 1000
  const steps = p.step - p.first
  return {
    type: 'end',
    step: p.step,
    ...how,
    usage: { tokens: p.numTokens - p.firstTokens, peakBytes: process.resourceUsage().maxRSS * 1024 },
    whole: { tokens: p.numTokens, loss: p.history.findLast((entry) => entry.loss !== undefined)?.loss ?? null },
    metrics: {
      trainRuntime: seconds,
      trainSamplesPerSecond: p.rows / seconds,
      trainStepsPerSecond: steps / seconds,
      totalFlos: p.totalFlos,
      trainLoss: p.losses / Math.max(1, steps),
      epoch: epochOf(run, p.step),
    },
  }
}
