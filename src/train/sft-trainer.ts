/** Supervised fine-tuning with TRL's names: rows prepared, a plan that fits, a loop of events. */
import type { Example } from '../data/example.ts'
import { type Prepared, prepare } from '../data/prepare.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { predictSeconds, ratesOf } from '../engine/predict.ts'
import { visiblePairs } from '../engine/runner.ts'
import { saveTrained } from '../engine/save.ts'
import { checkIds } from '../engine/vocabulary.ts'
import { option, SaqrError, say } from '../error.ts'
import { filled, signal as signalCheck, take, takeOptions } from '../hub/arguments.ts'
import { ensureWritableFolder } from '../hub/files.ts'
import { checkSame, findCheckpoint, restore } from './checkpoint.ts'
import { stepData } from './data.ts'
import { type EvalMetrics, evaluateNow } from './evaluate-now.ts'
import type { EndEvent, StartEvent, TrainEvent } from './events.ts'
import { trainLoop } from './loop.ts'
import type { TrainingOptions } from './options/config.ts'
import { resolveObject } from './options/resolve.ts'
import { renamed } from './options/retired.ts'
import { checkTraining } from './options/rules.ts'
import { argsFields, takeInit } from './options/trainer-init.ts'
import type { CheckedInit, SFTTrainerInit } from './options/trainer-types.ts'
import { prepareRun, type Run, runFacts } from './run.ts'

export type { SFTTrainerInit } from './options/trainer-types.ts'

const RUN = { signal: signalCheck }

/** TRL's TrainOutput */
export interface TrainOutput {
  globalStep: number
  trainingLoss: number
  metrics: EndEvent['metrics']
  /** the checkpoint to go on from, where the run was stopped before its end */
  stopped: string | null
}

export class SFTTrainer {
  readonly #init: CheckedInit
  readonly options: TrainingOptions
  /** a line for each option that was accepted and has nothing left to do */
  readonly notes: readonly string[]

  /** @throws SaqrError OPTION_… for options that can't be carried out, each by name */
  constructor(given: SFTTrainerInit) {
    const { init, values } = takeInit(given)
    const { options, notes } = resolveObject(argsFields, values, renamed)
    checkTraining(options)
    this.#init = init
    this.options = options
    this.notes = notes
  }

  /** Runs to the end. Aborting saves a checkpoint of the last finished step; the result then names it. */
  async train(request?: { signal?: AbortSignal }): Promise<TrainOutput> {
    const { signal } = takeOptions(request, 'train', RUN)
    for await (const event of this.stream({ signal })) {
      if (event.type !== 'end') continue
      const { step, metrics, stopped } = event
      return { globalStep: step, trainingLoss: metrics.trainLoss, metrics, stopped }
    }
    throw new Error('a run ends with its end event')
  }

  /** The same as events, from the first `next()` on. Leaving the loop early saves as an abort does. */
  stream(request?: { signal?: AbortSignal }): AsyncGenerator<TrainEvent> {
    return this.#events(takeOptions(request, 'stream', RUN).signal)
  }

  async *#events(signal: AbortSignal | undefined): AsyncGenerator<TrainEvent> {
    const { model, processingClass, trainDataset, evalDataset, formattingFunc } = this.#init
    const o = this.options
    const language = model.language
    const outputDir = o.outputDir ?? 'trainer_output'
    language.checkTrainable() // before any work
    ensureWritableFolder(outputDir)
    const settings = {
      datasetTextField: o.datasetTextField,
      maxLength: o.maxLength,
      truncationMode: o.truncationMode,
      completionOnlyLoss: o.completionOnlyLoss,
      assistantOnlyLoss: o.assistantOnlyLoss,
      packingStrategy: o.packingStrategy,
      formattingFunc,
      signal,
    }
    const prepared = await prepare(trainDataset, processingClass, { ...settings, packing: o.packing })
    const evaluated = evalDataset ? await prepare(evalDataset, processingClass, { ...settings, packing: o.evalPacking ?? o.packing }) : null
    checkPositions(prepared.examples, language)
    if (evaluated) checkPositions(evaluated.examples, language)
    checkVocabulary(prepared.examples, language)
    if (evaluated) checkVocabulary(evaluated.examples, language)
    language.promptForm = prepared.form
    const resumed = findCheckpoint(outputDir, o.resumeFromCheckpoint)
    const run = prepareRun({
      model: language,
      examples: prepared.examples,
      evalExamples: evaluated?.examples ?? null,
      options: o,
      memory: this.#init.memory ?? null,
      maxPassTokens: resumed?.facts.maxPassTokens ?? null,
    })
    const stop = new AbortController()
    const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
    try {
      if (resumed) {
        checkSame(resumed, runFacts(run))
        restore(resumed.path, language, run.optimizer)
      }
      yield this.#start(run, prepared, outputDir, resumed?.state.globalStep ?? 0)
      const anew = o.resumeFromCheckpoint === true && !resumed ? [`nothing to resume in ${outputDir}: this is a new run`] : []
      for (const message of [...this.notes, ...prepared.notes, ...anew]) yield { type: 'note', message }
      for (const message of [...unusedRows(prepared), ...(evaluated ? unusedRows(evaluated) : [])]) yield { type: 'warning', message }
      yield* trainLoop(run, resumed, outputDir, both)
    } finally {
      stop.abort()
      run.dispose()
    }
  }

  /** The evaluation rows scored with the model as it is: TRL's metrics in camelCase. @throws SaqrError OPTION_INVALID without evalDataset */
  async evaluate(request?: { signal?: AbortSignal }): Promise<EvalMetrics> {
    const { signal } = takeOptions(request, 'evaluate', RUN)
    return evaluateNow(this.#init, this.options, signal)
  }

  /** The trained part and the tokenizer, as a folder that opens like any model. @param folder default: outputDir */
  async saveModel(folder?: string): Promise<void> {
    const { language } = this.#init.model
    const path = take(folder ?? this.options.outputDir ?? 'trainer_output', 'folder', filled)
    await saveTrained(language, path)
    await this.#init.processingClass.savePretrained(path)
  }

  #start(run: Run, { examples }: Prepared, outputDir: string, doneSteps: number): StartEvent {
    const { model, options: o } = run
    const { device, checkpoint } = model.open
    const { trained, all } = model.count()
    const { passes } = stepData(examples, run.sampler, doneSteps, run.cut)
    const rates = ratesOf(device)
    const predictedSeconds = passes.reduce((sum, pass) => {
      const work = { chunks: run.runner.chunks(pass), pairs: visiblePairs(pass) }
      return sum + predictSeconds(run.runner.plan(pass.tokens).plan, work, rates)
    }, 0)
    const epoch = epochTotals(run)
    const million = (n: number) => `${(n / 1e6).toFixed(2)} M`
    return {
      type: 'start',
      runName: o.runName ?? outputDir,
      model: checkpoint.path,
      device: `${device.describe().kind}, ${device.describe().label}`,
      outputDir,
      training: `${model.adapter.label}, ${million(trained)} of ${million(all)} parameters`,
      memory: run.memoryTable,
      planHash: run.budget.full.hash,
      steps: run.steps,
      doneSteps,
      epochs: run.steps / run.sampler.stepsPerEpoch,
      rows: examples.length,
      ...epoch,
      passesPerStep: passes.length,
      predictedSeconds,
    }
  }
}

/** steps whose rows are laid out to tell what an epoch computes; more are taken to be like them */
const SAMPLED = 64

/** tokens of an epoch, and what sharing would save where it is off */
function epochTotals(run: Run): Pick<StartEvent, 'rowTokens' | 'computedTokens' | 'targets' | 'sharing'> {
  const { examples, sampler, cut, model } = run
  const rowTokens = examples.reduce((sum, { ids }) => sum + ids.length, 0)
  const targets = examples.reduce((sum, { targets }) => sum + targets.reduce((n, t) => n + t, 0), 0)
  const sampled = { row: 0, kept: 0, shared: 0 }
  for (let step = 0; step < Math.min(SAMPLED, sampler.stepsPerEpoch); step++) {
    const data = stepData(examples, sampler, step, cut)
    sampled.row += data.rowTokens
    sampled.kept += data.computedTokens
    sampled.shared += cut.prefixSharing ? 0 : stepData(examples, sampler, step, { ...cut, prefixSharing: true }).computedTokens
  }
  const ofEpoch = (tokens: number) => Math.round((tokens / sampled.row) * rowTokens)
  const computedTokens = ofEpoch(sampled.kept)
  if (cut.prefixSharing) return { rowTokens, computedTokens, targets, sharing: null }
  const off = model.adapter.random ?? 'prefix_sharing is off'
  return { rowTokens, computedTokens, targets, sharing: { off, tokens: computedTokens - ofEpoch(sampled.shared) } }
}

/** @throws SaqrError MODEL_VOCABULARY for a row with a token that the embedding has no row for */
function checkVocabulary(examples: readonly Example[], { open }: LanguageModel): void {
  for (const { ids, row, source } of examples) checkIds(ids, open.model.vocab, `${source}, row ${row},`)
}

/** @throws SaqrError DATA_TOO_LONG for a row with more tokens than the model has positions for */
function checkPositions(examples: readonly Example[], { open }: LanguageModel): void {
  const { maxPositions } = open.model
  for (const { ids, starts, row, source } of examples) {
    if (ids.length <= maxPositions) continue
    const bounds = [...(starts ?? [0]), ids.length]
    const longest = Math.max(...bounds.slice(1).map((to, i) => to - bounds[i]!))
    if (longest <= maxPositions) continue
    throw new SaqrError(
      'DATA_TOO_LONG',
      say`${source}, row ${row}: ${longest} tokens, but the model knows ${maxPositions} positions (max_position_embeddings). Set ${option('maxLength')} to ${maxPositions} or less.`,
    )
  }
}

const NAMED = 5

function unusedRows({ unused }: Prepared): string[] {
  if (!unused.length) return []
  const more = unused.length > NAMED ? ` and ${unused.length - NAMED} more` : ''
  return [`${unused.length} rows are not used: ${unused.slice(0, NAMED).join('; ')}${more}`]
}
