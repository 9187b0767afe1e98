/** `saqr sft`: supervised fine-tuning with the flags of `trl sft`. */
import { join } from 'node:path'
import { writeTokenizer } from '../../engine/model-folder.ts'
import { saveTrained } from '../../engine/save.ts'
import { SaqrError } from '../../error.ts'
import { isFile } from '../../hub/files.ts'
import { lossCurve } from '../../track/loss-curve.ts'
import { terminal } from '../../track/terminal.ts'
import { tracked } from '../../track/tracker.ts'
import { renamed } from '../../train/options/retired.ts'
import { checkSft } from '../../train/options/rules.ts'
import { type SftOptions, sftFields, sftThemes, trainerArgs } from '../../train/options/sft.ts'
import { SFTTrainer } from '../../train/sft-trainer.ts'
import { openDevice } from '../device.ts'
import { loadRows, openForTraining } from '../load.ts'
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
    const device = await openDevice(options.useCpu ? 'cpu' : options.device)
    try {
      // rows first: a name that is wrong should not cost the fetching of a model
      const rows = await rowsOf(options, io.signal)
      const { language, tokenizer, notes } = await openForTraining(options, device, io.signal)
      for (const note of notes) io.err.write(`${note}\n`)
      const trainer = new SFTTrainer({
        model: { language },
        processingClass: tokenizer,
        ...rows,
        args: trainerArgs(options),
        memory: options.memory,
      })
      const outputDir = options.outputDir ?? 'trainer_output'
      const trackers = [terminal(io.out, io.err, { plain: options.disableTqdm === true }), lossCurve(join(outputDir, 'loss.svg'))]
      for await (const event of tracked(trainer.stream({ signal: io.signal }), trackers)) {
        if (event.type !== 'end') continue
        if (!event.finished) return INTERRUPTED
        // while the run still has the folder
        await saveTrained(language, outputDir)
        if (language.open.checkpoint.tokenizer) writeTokenizer(outputDir, language.open.checkpoint.tokenizer)
      }
      io.out.write(
        `saved ${outputDir}, its loss curve in ${join(outputDir, 'loss.svg')}\ntry it: saqr generate --model_name_or_path ${outputDir} "…"\n`,
      )
      return 0
    } finally {
      device.dispose()
    }
  },
})

async function rowsOf(o: SftOptions, signal: AbortSignal) {
  const trainDataset = await loadRows(o.datasetName!, o.datasetConfig, o.datasetTrainSplit, signal)
  if (o.evalStrategy === 'no' && !o.evalOnStart) return { trainDataset }
  if (o.evalDatasetName === null && isFile(o.datasetName!))
    throw new SaqrError(
      'OPTION_INVALID',
      `${o.evalStrategy === 'no' ? 'evalOnStart' : `evalStrategy ${o.evalStrategy}`} needs rows that are not trained on, and a file has no split ${o.datasetTestSplit}: name some with evalDatasetName`,
    )
  const evalDataset =
    o.evalDatasetName === null
      ? await loadRows(o.datasetName!, o.datasetConfig, o.datasetTestSplit, signal)
      : await loadRows(o.evalDatasetName, null, o.datasetTestSplit, signal)
  return { trainDataset, evalDataset }
}
