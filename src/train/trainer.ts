/** What every trainer does, with TRL's names: rows prepared, a plan that fits, a loop of events. What it trains towards is its objective's. */
import type { Dataset } from '../data/dataset.ts'
import type { Making, Prepared } from '../data/prepare.ts'
import { hubIdOf } from '../engine/base-name.ts'
import { writeCard } from '../engine/card.ts'
import { digestOfBase } from '../engine/digest.ts'
import { collectGarbage, isHeapCounted } from '../engine/heap.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { saveTrained } from '../engine/save.ts'
import { checkModelFolder } from '../engine/save-target.ts'
import { type Message, option, SaqrError, say } from '../error.ts'
import { tokenizerTexts } from '../formats/tokenizer-files.ts'
import { signal as abortSignal, filled, take, takeOptions } from '../hub/arguments.ts'
import { ensureWritableFolder } from '../hub/files.ts'
import type { Pushed } from '../hub/push.ts'
import type { EndEvent, EvalEvent, TrainEvent } from '../track/events.ts'
import { standardError } from '../track/output.ts'
import { preparingLine } from '../track/preparing-line.ts'
import { checkReport, trackersOf } from '../track/report.ts'
import { terminal } from '../track/terminal.ts'
import { note, warning } from '../track/told.ts'
import { type Tracker, tracked } from '../track/tracker.ts'
import { BaseWeights } from './base-weights.ts'
import { followed } from './best.ts'
import { TrainerControl } from './callbacks.ts'
import { unusedRows } from './check-rows.ts'
import { checkSame, findCheckpoint, type Resumed, restore, runIn } from './checkpoint.ts'
import { evalAnswers } from './eval-answers.ts'
import { type EvalMetrics, evaluateNow } from './evaluate-now.ts'
import { isTrained, withWeights } from './identity.ts'
import { lockFolder } from './lock.ts'
import { factsOf, trainLoop } from './loop.ts'
import { makingOf } from './making.ts'
import type { Objective } from './objectives/objective.ts'
import type { CommonOptions } from './options/common-config.ts'
import { resolveObject } from './options/resolve.ts'
import { renamed } from './options/retired.ts'
import { checkTraining } from './options/rules.ts'
import { type TrainerTables, takeEvaluation, takeInit, takeTraining } from './options/trainer-init.ts'
import type { CheckedInit } from './options/trainer-types.ts'
import { openHub, pushRun } from './push.ts'
import { lacksScores, scoreReference } from './reference.ts'
import { ReferenceScores } from './reference-scores.ts'
import { prepareRun, type Run } from './run.ts'
import { runRecord } from './run-record.ts'
import { startEvent } from './start-event.ts'
import { surveyOf } from './survey.ts'
import { neverEvaluates } from './timing.ts'
import { turnOn } from './turn.ts'

const NOT_EVALUATED = 'evalDataset has no effect without evalStrategy steps or epoch, but where evaluate() is called'

/** TRL's TrainOutput */
export interface TrainOutput {
  /** optimizer steps done */
  globalStep: number
  /** mean loss over the steps */
  trainingLoss: number
  /** TRL’s metrics of the call */
  metrics: EndEvent['metrics']
  /** false: it was stopped before its last step */
  finished: boolean
  /** the checkpoint to go on from, where the run was stopped before its end */
  stopped: string | null
}

/** What train() and stream() take. */
export interface TrainRequest {
  /**
   * Stops the run: it saves the last finished step and ends. Give it what your program aborts on Ctrl-C. Where it is aborted before the run
   * has begun (while an earlier one still has the model, too), there is nothing to end: `train()` rejects with its reason, as `fetch` does.
   */
  signal?: AbortSignal
  /** a checkpoint folder to go on from, or true: the newest of outputDir; instead of what args say */
  resumeFromCheckpoint?: boolean | string | null
}

/**
 * A trainer: its tables of options, what they mean together, and what it trains towards. O: its options, filled in.
 * @internal
 */
export interface TrainerKind<O> extends TrainerTables {
  /** @throws SaqrError OPTION_INVALID for options that contradict each other, or the model */
  check?(options: O, init: CheckedInit): void
  objective(options: O): Objective
}

type RowsOfRun = Omit<Prepared, 'lengths'>

/** O: the options of args, filled in */
export class Trainer<O extends CommonOptions> {
  readonly #init: CheckedInit
  readonly #kind: TrainerKind<O>
  readonly #objective: Objective
  /** rows that have been scored by the reference are prepared once: a second run measures against the same */
  readonly #prepared = new Map<Dataset, RowsOfRun>()
  /** what it trains with: args, filled in with TRL’s defaults */
  readonly options: O
  /** a line for each option that was accepted and has nothing to do */
  readonly notes: readonly string[]

  /**
   * @throws SaqrError OPTION_… for options that can't be carried out, each by name
   * @internal
   */
  constructor(given: unknown, kind: TrainerKind<O>) {
    const { init, values } = takeInit(given, kind)
    const resolved = resolveObject(kind.config, values, renamed, { evalDataset: init.evalDataset !== null })
    const { notes } = resolved
    const options = resolved.options as object as O
    checkTraining(options)
    checkReport(options)
    kind.check?.(options, init)
    if (!init.evalDataset && (options.evalStrategy !== 'no' || options.evalOnStart)) throw noEvalRows(options)
    evalAnswers(options.evalPrompts, init.model) // what can't be asked is told before anything is prepared
    this.#init = init
    this.#kind = kind
    this.#objective = kind.objective(options)
    followed(this.#objective, options) // a name that no evaluation has is told before anything is computed
    this.options = options
    this.notes = init.evalDataset && options.evalStrategy === 'no' && !options.evalOnStart ? [...notes, NOT_EVALUATED] : notes
  }

  /**
   * Runs to the end. Aborting `signal` saves a checkpoint of the last finished step; the result then names it. A second run of one model
   * waits for the first to end.
   * @example
   * const stop = new AbortController()
   * process.once('SIGINT', () => stop.abort())
   * const { stopped } = await trainer.train({ signal: stop.signal })
   */
  async train(request?: TrainRequest | boolean | string): Promise<TrainOutput> {
    const { signal, resumeFromCheckpoint } = takeTraining(request, 'train', this.#kind)
    await openHub(this.options, this.#folder, { signal })
    for await (const event of tracked(this.stream({ signal, resumeFromCheckpoint }), this.#trackers())) {
      if (event.type !== 'end') continue
      const { step, metrics, finished, stopped } = event
      if (finished && this.options.pushToHub) await this.pushToHub({ signal })
      return { globalStep: step, trainingLoss: metrics.trainLoss, metrics, finished, stopped }
    }
    throw new Error('a run ends with its end event')
  }

  /** The same as events, from the first `next()` on; nothing is shown. Leaving the loop early saves as an abort does. */
  stream(request?: TrainRequest): AsyncGenerator<TrainEvent> {
    return this.#events(takeTraining(request, 'stream', this.#kind))
  }

  /**
   * The first steps of the run, which ends there as where a callback ends it: what only later ones need is not made.
   * @internal
   */
  firstSteps(steps: number, request?: TrainRequest): AsyncGenerator<TrainEvent> {
    return this.#events(takeTraining(request, 'stream', this.#kind), steps)
  }

  async *#events({ signal, resumeFromCheckpoint }: TrainRequest, within = Number.POSITIVE_INFINITY): AsyncGenerator<TrainEvent> {
    const outputDir = this.options.outputDir ?? 'trainer_output'
    const language = this.#init.model.language
    language.checkTrainable() // before any work
    const turn = await turnOn(language, signal)
    try {
      if (language.adapter.config === null) checkModelFolder(language.opened, outputDir)
      ensureWritableFolder(outputDir)
      const unlock = lockFolder(outputDir)
      try {
        const control = new TrainerControl()
        const resume = resumeFromCheckpoint ?? this.options.resumeFromCheckpoint
        const events = this.#run(language, outputDir, { resume, control, within, signal })
        const trackers = [...evalAnswers(this.options.evalPrompts, this.#init.model, signal), ...trackersOf(this.options, outputDir)]
        for await (const event of tracked(events, trackers)) {
          turn.pause()
          try {
            for (const callback of this.#init.callbacks) await callback(event, control)
            yield event
          } finally {
            await turn.goOn()
          }
        }
      } finally {
        unlock()
      }
    } finally {
      turn.end()
    }
  }

  async *#run(
    model: LanguageModel,
    outputDir: string,
    { resume, control, within, signal }: { resume: boolean | string | null; control: TrainerControl; within: number; signal?: AbortSignal | undefined }, // biome-ignore format: short
  ): AsyncGenerator<TrainEvent> {
    const { processingClass, trainDataset, evalDataset } = this.#init
    const o = this.options
    const objective = this.#objective
    const prepared = await this.#rows(trainDataset, false, signal)
    const evaluated = evalDataset ? await this.#rows(evalDataset, true, signal) : null
    const all = evaluated ? [prepared, evaluated] : [prepared]
    const looked = await surveyOf(prepared.examples, model.opened.model, signal)
    const evalLooked = evaluated && (await surveyOf(evaluated.examples, model.opened.model, signal))
    const base = hubIdOf(model)
    model.run = null // until this one has ended
    model.promptForm = prepared.form
    model.rows = prepared.examples.slice(0, 8).map(({ ids, starts }) => [...ids.subarray(0, starts?.[1])])
    model.tokenizer = processingClass.files
    const resumed = findCheckpoint(outputDir, resume)
    for (const one of [model, this.#init.refModel?.language]) await one?.opened.lookAgain(signal)
    const request = {
      objective,
      model,
      examples: prepared.examples,
      evalExamples: evaluated?.examples ?? null,
      looked,
      evalLooked,
      options: o,
      memory: this.#init.memory,
      refModel: this.#init.refModel,
      goesOn: resumed?.facts ?? null,
      base: new BaseWeights(model.opened.checkpoint),
    }
    const run = await prepareRun(request, signal)
    const stop = new AbortController()
    try {
      await model.opened.device.keepDense?.(
        run.budget,
        run.budget.dense.map(({ name }) => name),
      )
      const notes = [...this.notes, ...prepared.notes]
      const warnings: (string | Message)[] = all.flatMap((rows) => [...rows.warnings, ...unusedRows(rows)])
      if (neverEvaluates(run.steps, run.sampler.stepsPerEpoch, o))
        warnings.push(say`${option('evalDelay')} ${o.evalDelay} is beyond the end of the run, so the evaluation rows are never scored`)
      if (resumed) {
        // before anything is trained
        const weights = await digestOfBase(model.opened.checkpoint, { signal })
        warnings.unshift(...checkSame(resumed, withWeights(run.identity, weights), model.opened.checkpoint.path, o.maxPassTokens))
        if (resumed.state.globalStep >= run.steps && resumed.facts.due.length === 0) warnings.unshift(nothingLeft(resumed, run.steps))
        // what measures against the model as training began needs that first
        if (!objective.reference) restore(resumed.path, model, run.optimizer)
      } else {
        if (resume) notes.push(`nothing to resume in ${outputDir}: this is a new run`)
        const another = runIn(outputDir)
        if (another !== null) warnings.unshift(another)
      }
      const start = startEvent(run, {
        outputDir,
        name: factsOf(run, resumed, outputDir).run,
        doneSteps: resumed?.state.globalStep ?? 0,
        history: resumed?.state.logHistory ?? [],
      })
      settleHeap(
        run,
        [trainDataset, evalDataset].some((rows) => rows?.isStreamed),
      )
      yield start
      for (const text of notes) yield note(text)
      for (const text of warnings) yield warning(text)
      if (objective.reference) {
        const kept = await ReferenceScores.of(outputDir, run, resumed, signal)
        const done = resumed?.state.globalStep ?? 0
        if (resumed && this.#init.refModel === null && isTrained(model) && (await lacksScores(run, signal)))
          throw new SaqrError(
            'TRAIN_CHECKPOINT',
            `${resumed.path} goes on from a model as it was before training, and this one has been trained since it was opened: what it is measured against would be another. Open the model anew, or go on with the trainer that trained it.`,
          )
        yield* this.#score(run, kept, { done, until: Math.min(run.steps, done + within) }, signal)
        if (resumed) restore(resumed.path, model, run.optimizer)
      }
      let evaluated: EvalEvent | null = null
      for await (const event of trainLoop(
        run,
        resumed,
        outputDir,
        signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
        control,
      )) {
        if (event.type === 'eval') evaluated = event
        if (event.type === 'end') model.run = runRecord(run, trainDataset.source, this.#kind.config, { base, start, evaluated, end: event })
        if (event.type === 'step' && event.step - (resumed?.state.globalStep ?? 0) >= within) control.shouldTrainingStop = true
        yield event
      }
    } finally {
      stop.abort()
      run.dispose()
    }
  }

  /** The evaluation rows scored with the model as it is: TRL's metrics in camelCase. @throws SaqrError OPTION_INVALID without evalDataset */
  async evaluate(request?: { signal?: AbortSignal }): Promise<EvalMetrics> {
    const { signal } = takeEvaluation(request, this.#kind)
    const { evalDataset } = this.#init
    if (!evalDataset) throw new SaqrError('OPTION_INVALID', say`there is nothing to evaluate on: give ${option('evalDataset')}`)
    return evaluateNow(this.#objective, this.#init, await this.#rows(evalDataset, true, signal), this.options, signal)
  }

  async #rows(dataset: Dataset, evaluation: boolean, signal: AbortSignal | undefined): Promise<RowsOfRun> {
    const known = this.#prepared.get(dataset)
    if (known) return known
    const { processingClass, formattingFunc } = this.#init
    const making = { ...makingOf(this.options), onProgress: this.#progress() }
    // a number for each of millions of rows is not kept: nothing of a run reads it
    const { lengths: _, ...prepared } = await this.#objective.prepare(dataset, processingClass, this.options, { evaluation, formattingFunc, signal, making }) // biome-ignore format: one call
    if (this.#objective.reference) this.#prepared.set(dataset, prepared)
    return prepared
  }

  /** What the objective measures rows against, before anything is trained. */
  async *#score(
    run: Run,
    kept: ReferenceScores,
    steps: { done: number; until: number },
    signal: AbortSignal | undefined,
  ): AsyncGenerator<TrainEvent> {
    if (kept.taken) yield note(`${kept.taken.rows} rows were scored by the reference before: taken from ${kept.taken.from}`)
    let scored = 0
    try {
      scored = await scoreReference(run, steps, kept, { signal, onProgress: this.#progress() })
    } catch (error) {
      if (signal?.aborted && kept.failed === null)
        yield note('stopped while the reference scored rows: those it has are kept in the folder')
      throw error
    }
    if (scored > 0) yield note(`${scored} rows scored by the reference`)
    if (kept.failed !== null) yield warning(`the reference’s scores are not kept for a run that goes on with this one: ${kept.failed}`)
  }

  #progress(): Making['onProgress'] {
    return this.#init.report === 'none' ? undefined : preparingLine(standardError)
  }

  /** The trained part, the tokenizer and a model card, as a folder that opens like any model. @param folder default: outputDir */
  async saveModel(folder?: string): Promise<void> {
    const { language } = this.#init.model
    const path = take(folder ?? this.options.outputDir ?? 'trainer_output', 'folder', filled)
    await saveTrained(language, path)
    await this.#init.processingClass.savePretrained(path)
    await writeCard(language, path, { kind: 'adapter' })
  }

  /**
   * Saves the model in outputDir and uploads that, without checkpoints, to hubModelId (default: the name of outputDir) on the Hub. `train()` does so at
   * its end with pushToHub; after `stream()` call it.
   * @throws SaqrError HUB_…, FORMAT_…
   */
  async pushToHub(request?: { commitMessage?: string; signal?: AbortSignal }): Promise<Pushed> {
    const { commitMessage, signal } = takeOptions<{ commitMessage: string; signal: AbortSignal }>(request, 'pushToHub', {
      commitMessage: filled,
      signal: abortSignal,
    })
    await this.saveModel()
    return await pushRun(this.options, this.#folder, { ...(commitMessage && { commitMessage }), ...(signal && { signal }) })
  }

  get #folder(): string {
    return this.options.outputDir ?? 'trainer_output'
  }

  #trackers(): readonly Tracker[] {
    const { report = standardError.isTTY ? 'terminal' : 'none' } = this.#init
    if (report === 'none') return []
    return report === 'terminal'
      ? [terminal(standardError, standardError, { plain: this.options.disableTqdm === true, resume: 'resumeFromCheckpoint' })]
      : report
  }
}

function nothingLeft({ path, state }: Resumed, steps: number): Message {
  return say`${path} has done ${state.globalStep} of ${steps} steps: nothing is left to train. Raise ${option('maxSteps')} or ${option('numTrainEpochs')} to go on`
}

/**
 * Under a budget of the machine's own memory, and where rows stay on disk, the heap is as small as it gets before the first step, and what checkpoints
 * write of the tokenizer is made by then.
 */
function settleHeap({ memory, model }: Run, streamed: boolean): void {
  const counted = memory !== null && isHeapCounted(model.opened.device.describe())
  if (!counted && !streamed) return
  const { tokenizer } = model
  if (tokenizer) tokenizerTexts(tokenizer)
  collectGarbage()
}

function noEvalRows({ evalStrategy, evalOnStart }: CommonOptions): SaqrError {
  const asked = evalStrategy === 'no' && evalOnStart ? say`${option('evalOnStart')}` : say`${option('evalStrategy')} ${evalStrategy}`
  return new SaqrError('OPTION_INVALID', say`${asked} needs rows to evaluate on: give ${option('evalDataset')}`)
}
