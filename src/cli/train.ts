/** What every verb that trains does: rows named by options, a model opened for them, a trainer's events shown, the model saved. */
import { join } from 'node:path'
import type { Dataset } from '../data/dataset.ts'
import { readEvalPrompts } from '../data/eval-prompts.ts'
import type { Device } from '../devices/device.ts'
import { openDevice } from '../devices/open.ts'
import { writeCard } from '../engine/card.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { type AdapterForm, saveTrained } from '../engine/save.ts'
import { checkUnfusable } from '../engine/unfused.ts'
import { generateAnswers } from '../generate/generate.ts'
import { shownOf } from '../hub/progress.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { TrainEvent } from '../track/events.ts'
import { lossCurve } from '../track/loss-curve.ts'
import { preparingLine } from '../track/preparing-line.ts'
import { checkReport } from '../track/report.ts'
import { terminal } from '../track/terminal.ts'
import { respelled } from '../track/told.ts'
import { tracked } from '../track/tracker.ts'
import { followed } from '../train/best.ts'
import { makingOf } from '../train/making.ts'
import type { Objective } from '../train/objectives/objective.ts'
import type { VerbOptions } from '../train/options/common.ts'
import type { CommonOptions } from '../train/options/common-config.ts'
import type { TrainableModel } from '../train/options/trainer-types.ts'
import { openHub, pushRun } from '../train/push.ts'
import { rescue } from '../train/rescue.ts'
import { openForTraining } from './load-for-training.ts'
import { type Rows, rowsOf } from './rows.ts'
import { INTERRUPTED } from './run.ts'
import type { Call, Io } from './verb.ts'

interface Training {
  model: TrainableModel
  processingClass: Tokenizer
  trainDataset: Dataset
  evalDataset?: Dataset
  memory: string | number | null
}

/** @returns the exit code */
export async function trainWith(
  options: VerbOptions,
  { io, spelling }: Pick<Call<never>, 'io' | 'spelling'>,
  objective: Objective,
  trainerOf: (training: Training) => { stream(request: { signal: AbortSignal }): AsyncGenerator<TrainEvent> },
): Promise<number> {
  checkReport(options)
  followed(objective, options)
  if (options.evalPrompts !== null) readEvalPrompts(options.evalPrompts)
  const outputDir = options.outputDir ?? 'trainer_output'
  await openHub(options, outputDir, { signal: io.signal, ...shownOf(io.err, 'uploading') })
  const device: Device = await openDevice(options.useCpu ? 'cpu' : options.device, { threads: options.threads })
  try {
    // rows first: a name that is wrong should not cost the fetching of a model
    const rows = await rowsOf(options, io)
    const { language, tokenizer, notes } = await openForTraining(options, device, io, (tokenizer) =>
      look(objective, rows, tokenizer, options, io),
    )
    for (const note of notes) io.err.write(`${note}\n`)
    if (options.unfuseExperts) checkUnfusable(language)
    const trainer = trainerOf({
      model: { language, generate: (prompts, o) => generateAnswers(language, tokenizer, prompts, o) },
      processingClass: tokenizer,
      ...rows,
      memory: options.memory,
    })
    const curve = lossCurve(join(outputDir, 'loss.svg'))
    const trackers = [terminal(io.out, io.err, { plain: options.disableTqdm === true }), curve]
    for await (const event of tracked(respelled(trainer.stream({ signal: io.signal }), spelling), trackers)) {
      if (event.type !== 'end') continue
      if (!event.finished) return INTERRUPTED
      // while the run still has the folder
      await saveModel(language, outputDir, options, event.checkpoint)
    }
    const pushed = options.pushToHub ? await pushRun(options, outputDir, { signal: io.signal, ...shownOf(io.err, 'uploading') }) : null
    io.out.write(
      `saved ${outputDir}${curve.drawn ? `, its loss curve in ${join(outputDir, 'loss.svg')}` : ''}\n${pushed ? `uploaded to ${pushed.url}\n` : ''}try it: saqr generate --model_name_or_path ${outputDir} "…"\n`,
    )
    return 0
  } finally {
    device.dispose()
  }
}

/** The trained model beside its checkpoints. One that can't be written is still in the checkpoint of the last step, or is put elsewhere. */
async function saveModel(language: LanguageModel, outputDir: string, form: AdapterForm, checkpoint: string | null): Promise<void> {
  const write = async (folder: string) => {
    await saveTrained(language, folder, form)
    await writeCard(language, folder, { kind: 'adapter' })
    return folder
  }
  try {
    await write(outputDir)
  } catch (error) {
    const kept = checkpoint === null ? write : async () => checkpoint
    throw await rescue(error, kept, (path) => `It is a model folder like any other: copy it to where you want it, ${path} works as it is.`)
  }
}

/** Rows that can't be trained on are told before the model is there; the trainer takes over what was prepared. */
async function look(objective: Objective, rows: Rows, tokenizer: Tokenizer, o: CommonOptions, { signal, err }: Io): Promise<void> {
  const making = { ...makingOf(o), ahead: true, onProgress: preparingLine(err) }
  await objective.prepare(rows.trainDataset, tokenizer, o, { evaluation: false, signal, making })
  if (rows.evalDataset) await objective.prepare(rows.evalDataset, tokenizer, o, { evaluation: true, signal, making })
}
