/** What the process of a job does: its rows prepared, its model opened, trained from the last checkpoint on, and saved. */
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Counts } from '../data/counts.ts'
import type { Dataset } from '../data/dataset.ts'
import type { ResponseParts } from '../data/responses.ts'
import { openDevice } from '../devices/open.ts'
import { checkModules, newAdapter } from '../engine/adapter-modules.ts'
import { LanguageModel } from '../engine/language-model.ts'
import { loadAdapter } from '../engine/load-adapter.ts'
import { openBase } from '../engine/open-base.ts'
import { saveTrained } from '../engine/save.ts'
import { SaqrError } from '../error.ts'
import { loraConfig } from '../formats/peft/config.ts'
import { writeFileAtomic, writeFolderAtomic } from '../hub/files.ts'
import { move } from '../hub/move.ts'
import type { Model } from '../models/family.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { logEntry, type StartEvent, type TrainEvent } from '../track/events.ts'
import type { TrainerCallback } from '../train/callbacks.ts'
import { DPOTrainer } from '../train/dpo-trainer.ts'
import { makingOf } from '../train/making.ts'
import { dpo } from '../train/objectives/dpo.ts'
import { sft } from '../train/objectives/sft.ts'
import { SFTTrainer } from '../train/sft-trainer.ts'
import { answersIn, checkPlain } from './answers.ts'
import { LORA, learningRateOf } from './hyperparameters.ts'
import { type Heard, type HistoryEntry, PLACES, type Work } from './messages.ts'
import { resultsOf } from './results.ts'
import { trainingRows } from './rows.ts'

type Say = (message: Heard) => void

/** milliseconds of training that a kill may cost at the most, beside an epoch's ends, where a checkpoint is written anyway */
const SAVE_EVERY = 60_000
/** milliseconds between two looks whether another process has left the run's folder */
const LOOK_EVERY = 200

/** what of a checkpoint is there to go on from, and no part of a model */
const OF_THE_RUN = new Set(['optimizer.safetensors', 'trainer_state.json', 'saqr_run.json'])

/** Ends with the job done, or stopped by the signal with a checkpoint of its last step. @throws SaqrError */
export async function train(work: Work, say: Say, signal: AbortSignal): Promise<void> {
  const training = await trainingRows(work.training, work.type, signal)
  const validation = work.validation && (await trainingRows(work.validation, work.type, signal))
  const device = await openDevice(work.device, { threads: work.threads })
  try {
    const { opened, adapter, tokenizer, promptForm, notes } = await openBase(work.base, device, {
      ...(work.revision === null ? {} : { revision: work.revision }),
      signal,
      choice: () => work.choice,
      eosToken: work.eosToken,
      chatTemplate: work.chatTemplate,
    })
    for (const message of notes) say({ type: 'message', level: 'warn', message })
    const language = adapter === null ? newModel(opened, work) : loadAdapter(opened, adapter)
    language.promptForm = promptForm
    const parts = work.type === 'supervised' && isChat(training) ? answersIn(tokenizer) : undefined
    if (parts) tellParts(parts, validation ? [training, validation] : [training], say)
    const init = initOf(work, language, tokenizer, training, validation, parts)
    const trainer = work.type === 'dpo' ? new DPOTrainer(init) : new SFTTrainer(init)
    const objective = trainer instanceof DPOTrainer ? dpo(trainer.options) : sft
    for (const rows of validation ? [training, validation] : [training]) {
      const settings = { evaluation: rows === validation, signal, making: { ...makingOf(trainer.options), ahead: true } }
      tellCut(rows, (await objective.prepare(rows, tokenizer, trainer.options, settings)).lengths, opened.model, say)
    }
    const run = new Run(work, say)
    for await (const event of unlocked(() => trainer.stream({ signal, resumeFromCheckpoint: true }), signal)) {
      run.take(event)
      if (event.type !== 'end') continue
      if (!event.finished) return say({ type: 'stopped' })
      // while the run still has its folder
      await writeFolderAtomic(join(work.folder, PLACES.model), (folder) => saveTrained(language, folder))
      writeFileAtomic(join(work.folder, PLACES.results), resultsOf(run.history))
      say({ type: 'done', tokens: run.history.findLast(({ num_tokens }) => num_tokens !== undefined)?.num_tokens ?? 0 })
    }
  } finally {
    device.dispose()
  }
}

function newModel(opened: LanguageModel['opened'], { seed, base, revision }: Work): LanguageModel {
  const config = loraConfig({ ...LORA, targetModules: [...opened.model.linears], baseModelNameOrPath: base, revision })
  const language = new LanguageModel(opened, newAdapter(config, opened.model), seed)
  checkModules(language)
  return language
}

const isChat = ({ columns }: Dataset) => columns.includes('messages')

/** @throws SaqrError DATA_ROW for a row whose answers can't be told by what stands before them */
function tellParts({ responsePart }: ResponseParts, all: readonly Dataset[], say: Say): void {
  for (const dataset of all) for (const [i, row] of dataset.rows.entries()) checkPlain(row, dataset.where(i))
  say({ type: 'message', level: 'info', message: `Learned is what follows ${JSON.stringify(responsePart)}, up to the end of the turn` })
}

/** @param parts what answers stand behind; null: the template marks them; absent: rows are no conversations */
function initOf(
  work: Work,
  language: LanguageModel,
  tokenizer: Tokenizer,
  training: Dataset,
  validation: Dataset | null,
  parts: ResponseParts | null | undefined,
) {
  const { type, hyperparameters: h, seed, memory, folder } = work
  let saved = performance.now()
  const save: TrainerCallback = (event, control) => {
    if (event.type === 'save') saved = performance.now()
    if (event.type === 'step' && performance.now() - saved > SAVE_EVERY) control.shouldSave = true
  }
  return {
    model: { language },
    processingClass: tokenizer,
    trainDataset: training,
    evalDataset: validation,
    memory: memory === null ? null : `${memory / 1e6}MB`,
    report: 'none' as const,
    callbacks: [save],
    args: {
      outputDir: join(folder, PLACES.run),
      numTrainEpochs: h.n_epochs,
      perDeviceTrainBatchSize: h.batch_size,
      perDeviceEvalBatchSize: h.batch_size,
      gradientAccumulationSteps: 1,
      learningRate: learningRateOf(type, h.learning_rate_multiplier),
      lrSchedulerType: 'linear' as const,
      warmupSteps: warmUp(training.rows.length, h),
      maxLength: language.opened.model.maxPositions,
      seed,
      loggingSteps: 1,
      saveStrategy: 'epoch' as const,
      saveTotalLimit: 2,
      evalStrategy: validation ? ('epoch' as const) : ('no' as const),
      ...(type === 'dpo' ? { beta: h.beta } : {}),
      // as OpenAI has it: what the assistant says is learned
      ...(parts === null ? { assistantOnlyLoss: true } : parts),
    },
  }
}

/** A twentieth of the steps, in whole ones: the first of a warm-up moves nothing, which a job of few steps can't afford. */
function warmUp(examples: number, { n_epochs, batch_size }: Work['hyperparameters']): number {
  return Math.floor(0.05 * Math.ceil(examples / batch_size) * n_epochs)
}

/** Examples longer than the model's positions are trained on cut, as OpenAI cuts them. */
function tellCut({ source }: Dataset, lengths: Counts, { maxPositions }: Model, say: Say): void {
  const cut = lengths.beyond(maxPositions).count
  if (cut === 0) return
  const [examples, are] = cut === 1 ? ['example', 'is'] : ['examples', 'are']
  const message = `${source}: ${cut} ${examples} longer than the model's ${maxPositions} positions ${are} cut to them`
  say({ type: 'message', level: 'warn', message })
}

/** Where a process of before (its parent was killed) still writes its last checkpoint, it is waited for. */
async function* unlocked(stream: () => AsyncGenerator<TrainEvent>, signal: AbortSignal): AsyncGenerator<TrainEvent> {
  for (;;) {
    try {
      return yield* stream()
    } catch (error) {
      if (!(error instanceof SaqrError) || error.code !== 'TRAIN_LOCKED') throw error
      signal.throwIfAborted()
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY))
    }
  }
}

/** What a run says, told to who waits for the job. */
class Run {
  readonly #work: Work
  readonly #say: Say
  readonly history: HistoryEntry[] = []
  #stepsPerEpoch = 1

  constructor(work: Work, say: Say) {
    this.#work = work
    this.#say = say
  }

  take(event: TrainEvent): void {
    if (event.type === 'start') this.#start(event)
    else if (event.type === 'log' || event.type === 'eval') {
      const entry = logEntry(event)
      this.history.push(entry)
      this.#say({ type: 'metrics', entry })
    } else if (event.type === 'save') this.#keep(event.step, event.path)
    else if (event.type === 'warning') this.#say({ type: 'message', level: 'warn', message: event.message })
  }

  #start({ steps, epochs, doneSteps, history, training, memory }: StartEvent): void {
    this.#stepsPerEpoch = Math.round(steps / epochs)
    this.history.push(...history)
    this.#say({ type: 'started', steps, training, bytes: memory.total, history })
    // a kill may have come between a checkpoint and its copy
    if (doneSteps > 0) this.#keep(doneSteps, join(this.#work.folder, PLACES.run, `checkpoint-${doneSteps}`))
  }

  /** The model of an epoch's end, to be asked. */
  #keep(step: number, path: string): void {
    if (step % this.#stepsPerEpoch !== 0 || !existsSync(path)) return
    const folder = join(this.#work.folder, PLACES.checkpoint(step))
    if (!existsSync(folder)) copyModel(path, folder)
    this.#say({ type: 'checkpoint', step })
  }
}

function copyModel(from: string, to: string): void {
  const partial = `${to}.part`
  rmSync(partial, { recursive: true, force: true })
  for (const name of readdirSync(from)) if (!OF_THE_RUN.has(name)) cpSync(join(from, name), join(partial, name), { recursive: true })
  move(partial, to)
}
