/** Supervised fine-tuning with TRL's names: rows prepared, a plan that fits, a loop of events. */
import { join } from 'node:path'
import type { Dataset } from '../data/dataset.ts'
import type { Row } from '../data/files.ts'
import { collectGarbage } from '../engine/heap.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { option, SaqrError, say } from '../error.ts'
import { tokenizerTexts } from '../formats/tokenizer-files.ts'
import { ensureWritableFolder } from '../hub/files.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { EndEvent, TrainEvent } from '../track/events.ts'
import { jsonl } from '../track/jsonl.ts'
import { standardError } from '../track/output.ts'
import { terminal } from '../track/terminal.ts'
import { type Tracker, tracked } from '../track/tracker.ts'
import { unusedRows } from './check-rows.ts'
import { checkSame, findCheckpoint, type Resumed, restore } from './checkpoint.ts'
import { lockFolder } from './lock.ts'
import { trainLoop } from './loop.ts'
import type { Objective } from './objectives/objective.ts'
import { sft } from './objectives/sft.ts'
import { resolveObject } from './options/resolve.ts'
import { checkTraining, memoryLimit } from './options/rules.ts'
import { configFields, type SFTConfig, type TrainingOptions } from './options/sft.ts'
import { prepareRows } from './prepare-rows.ts'
import { prepareRun, type Run } from './run.ts'
import { startEvent } from './start-event.ts'
import { turnOn } from './turn.ts'

export interface SFTTrainerInit {
  /** what FastLanguageModel gave */
  model: { readonly language: LanguageModel; readonly maxSeqLength?: number }
  processingClass: Tokenizer
  trainDataset: Dataset
  evalDataset?: Dataset | null
  /** TRL's options in camelCase; what is left out has TRL's default */
  args?: SFTConfig
  /** makes one text of a row, whatever its columns */
  formattingFunc?: (row: Row) => string
  /** for everything on the device: a size such as `8GB` (10⁹ bytes each) or `512MiB` (2²⁰), or bytes; default: what is free */
  memory?: string | number | null
  /**
   * Where `train()` shows how it goes: `terminal` (on standard error, as `saqr sft` does), `none`, or trackers of your own.
   * Default: `terminal` where standard error is one, else `none`.
   */
  report?: 'terminal' | 'none' | readonly Tracker[]
}

/** TRL's TrainOutput */
export interface TrainOutput {
  globalStep: number
  trainingLoss: number
  metrics: EndEvent['metrics']
  /** false: it was stopped before its last step */
  finished: boolean
  /** the checkpoint to go on from, where the run was stopped before its end */
  stopped: string | null
}

export interface TrainRequest {
  /** Stops the run: it saves the last finished step and ends. Give it what your program aborts on Ctrl-C. */
  signal?: AbortSignal
}

export class SFTTrainer {
  readonly #init: SFTTrainerInit
  readonly #objective: Objective = sft
  readonly options: TrainingOptions
  /** a line for each option that was accepted and has nothing left to do */
  readonly notes: readonly string[]

  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(init: SFTTrainerInit) {
    const { options, notes } = resolveObject(configFields, { maxLength: init.model.maxSeqLength, ...init.args } as Record<string, unknown>)
    checkTraining(options)
    memoryLimit(init.memory ?? null)
    checkReport(init.report)
    if (!init.evalDataset && (options.evalStrategy !== 'no' || options.evalOnStart)) throw noEvalRows(options)
    this.#init = init
    this.options = options
    this.notes = notes
  }

  /**
   * Runs to the end. Aborting `signal` saves a checkpoint of the last finished step; the result then names it. A second run of one model
   * waits for the first to end.
   * @example
   * const stop = new AbortController()
   * process.once('SIGINT', () => stop.abort())
   * const { stopped } = await trainer.train({ signal: stop.signal })
   */
  async train(request: TrainRequest = {}): Promise<TrainOutput> {
    for await (const event of tracked(this.stream(request), this.#trackers())) {
      if (event.type !== 'end') continue
      const { step, metrics, finished, stopped } = event
      return { globalStep: step, trainingLoss: metrics.trainLoss, metrics, finished, stopped }
    }
    throw new Error('a run ends with its end event')
  }

  /** The same as events, from the first `next()` on; nothing is shown. Leaving the loop early saves as an abort does. */
  async *stream(request: TrainRequest = {}): AsyncGenerator<TrainEvent> {
    const outputDir = this.options.outputDir ?? 'trainer_output'
    const language = this.#init.model.language
    language.checkTrainable() // before any work
    const endTurn = await turnOn(language, request.signal)
    try {
      ensureWritableFolder(outputDir)
      const unlock = lockFolder(outputDir)
      try {
        const events = this.#run(language, outputDir, request.signal)
        yield* [this.options.reportTo].flat().includes('jsonl') ? tracked(events, [jsonl(join(outputDir, 'events.jsonl'))]) : events
      } finally {
        unlock()
      }
    } finally {
      endTurn()
    }
  }

  async *#run(model: LanguageModel, outputDir: string, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
    const { processingClass, trainDataset, evalDataset, formattingFunc } = this.#init
    const o = this.options
    const objective = this.#objective
    const rows = { trainDataset, evalDataset, formattingFunc }
    const { prepared, evaluated } = await prepareRows(objective, rows, processingClass, o, model.open.model, signal)
    const all = evaluated ? [prepared, evaluated] : [prepared]
    model.promptForm = prepared.form
    const resumed = findCheckpoint(outputDir, o.resumeFromCheckpoint)
    const run = prepareRun({
      objective,
      model,
      examples: prepared.examples,
      evalExamples: evaluated?.examples ?? null,
      options: o,
      memory: memoryLimit(this.#init.memory ?? null),
      goesOn: resumed?.facts ?? null,
    })
    const stop = new AbortController()
    try {
      const notes = [...this.notes, ...prepared.notes]
      const warnings = all.flatMap((rows) => [...rows.warnings, ...unusedRows(rows)])
      if (resumed) {
        const changed = checkSame(resumed, run.identity)
        if (changed) warnings.unshift(changed)
        if (resumed.state.globalStep >= run.steps) warnings.unshift(nothingLeft(resumed, run.steps))
        restore(resumed.path, model, run.optimizer)
      } else if (o.resumeFromCheckpoint) notes.push(`nothing to resume in ${outputDir}: this is a new run`)
      const start = startEvent(run, outputDir, resumed?.state.globalStep ?? 0, resumed?.state.logHistory ?? [])
      settleHeap(run)
      yield start
      for (const message of notes) yield { type: 'note', message }
      for (const message of warnings) yield { type: 'warning', message }
      yield* trainLoop(run, resumed, outputDir, signal ? AbortSignal.any([signal, stop.signal]) : stop.signal)
    } finally {
      stop.abort()
      run.dispose()
    }
  }

  #trackers(): readonly Tracker[] {
    const { report = standardError.isTTY ? 'terminal' : 'none' } = this.#init
    if (report === 'none') return []
    return report === 'terminal'
      ? [terminal(standardError, standardError, { plain: this.options.disableTqdm === true, resume: 'resumeFromCheckpoint' })]
      : report
  }
}

function nothingLeft({ path, state }: Resumed, steps: number): string {
  return `${path} has done ${state.globalStep} of ${steps} steps: nothing is left to train. Raise maxSteps or numTrainEpochs to go on`
}

/** Under a budget the heap is as small as it gets before the first step, and what checkpoints write of the tokenizer is made by then. */
function settleHeap({ memory, model }: Run): void {
  if (memory === null) return
  const { tokenizer } = model.open.checkpoint
  if (tokenizer) tokenizerTexts(tokenizer)
  collectGarbage()
}

function checkReport(report: SFTTrainerInit['report']): void {
  if (report === undefined || report === 'terminal' || report === 'none' || Array.isArray(report)) return
  throw new SaqrError('OPTION_INVALID', `report is ${JSON.stringify(report)}; expected 'terminal', 'none' or a list of trackers`)
}

function noEvalRows({ evalStrategy, evalOnStart }: TrainingOptions): SaqrError {
  const asked = evalStrategy === 'no' && evalOnStart ? say`${option('evalOnStart')}` : say`${option('evalStrategy')} ${evalStrategy}`
  return new SaqrError('OPTION_INVALID', say`${asked} needs rows to evaluate on: give ${option('evalDataset')}`)
}
