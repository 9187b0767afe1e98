/** `saqr sft`: supervised fine-tuning with the flags of `trl sft`. */
import { join } from 'node:path'
import { openDevice } from '../../devices/open.ts'
import type { LanguageModel } from '../../engine/language-model.ts'
import { type AdapterForm, saveTrained } from '../../engine/save.ts'
import { checkUnfusable } from '../../engine/unfused.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { lossCurve } from '../../track/loss-curve.ts'
import { checkReport } from '../../track/report.ts'
import { terminal } from '../../track/terminal.ts'
import { tracked } from '../../track/tracker.ts'
import { sft as objective } from '../../train/objectives/sft.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkSft } from '../../train/options/rules.ts'
import { type SftOptions, sftFields, sftThemes, trainerArgs } from '../../train/options/sft.ts'
import { rescue } from '../../train/rescue.ts'
import { SFTTrainer } from '../../train/sft-trainer.ts'
import { openForTraining } from '../load.ts'
import { type Rows, rowsOf } from '../rows.ts'
import { INTERRUPTED } from '../run.ts'
import { defineVerb } from '../verb.ts'

export const sft = defineVerb({
  name: 'sft',
  summary: 'fine-tune a model on your rows',
  usage: '--model_name_or_path MODEL --dataset_name ROWS [options]',
  examples: [
    'saqr sft --model_name_or_path HuggingFaceTB/SmolLM2-135M-Instruct --dataset_name rows.jsonl --use_peft --learning_rate 2e-4 --output_dir out',
    'saqr sft --config run.yaml --memory 8GB',
  ],
  fields: sftFields,
  themes: sftThemes,
  renamed,
  async run({ options, io }) {
    checkSft(options)
    checkReport(options)
    const device = await openDevice(options.useCpu ? 'cpu' : options.device, { threads: options.threads })
    try {
      // rows first: a name that is wrong should not cost the fetching of a model
      const rows = await rowsOf(options, io)
      const { language, tokenizer, notes } = await openForTraining(options, device, io, (tokenizer) =>
        look(rows, tokenizer, options, io.signal),
      )
      for (const note of notes) io.err.write(`${note}\n`)
      if (options.unfuseExperts) checkUnfusable(language)
      const trainer = new SFTTrainer({
        model: { language },
        processingClass: tokenizer,
        ...rows,
        args: trainerArgs(options),
        memory: options.memory,
      })
      const outputDir = options.outputDir ?? 'trainer_output'
      const curve = lossCurve(join(outputDir, 'loss.svg'))
      const trackers = [terminal(io.out, io.err, { plain: options.disableTqdm === true }), curve]
      for await (const event of tracked(trainer.stream({ signal: io.signal }), trackers)) {
        if (event.type !== 'end') continue
        if (!event.finished) return INTERRUPTED
        // while the run still has the folder
        await saveModel(language, outputDir, options, event.checkpoint)
      }
      io.out.write(
        `saved ${outputDir}${curve.drawn ? `, its loss curve in ${join(outputDir, 'loss.svg')}` : ''}\ntry it: saqr generate --model_name_or_path ${outputDir} "…"\n`,
      )
      return 0
    } finally {
      device.dispose()
    }
  },
})

/** The trained model beside its checkpoints. One that can't be written is still in the checkpoint of the last step, or is put elsewhere. */
async function saveModel(language: LanguageModel, outputDir: string, form: AdapterForm, checkpoint: string | null): Promise<void> {
  const write = async (folder: string) => {
    await saveTrained(language, folder, form)
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
async function look(rows: Rows, tokenizer: Tokenizer, o: SftOptions, signal: AbortSignal): Promise<void> {
  await objective.prepare(rows.trainDataset, tokenizer, o, { evaluation: false, ahead: true, signal })
  if (rows.evalDataset) await objective.prepare(rows.evalDataset, tokenizer, o, { evaluation: true, ahead: true, signal })
}
