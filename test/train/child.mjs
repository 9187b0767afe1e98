// One training run as a process of its own, for tests that kill it:  node child.mjs FOLDER OUTPUT_DIR MAX_STEPS TRAINER ROWS
import { join } from 'node:path'
import { Dataset, DPOTrainer, FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const [folder, outputDir, maxSteps, kind, file] = process.argv.slice(2)
const { model: base, tokenizer } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { dtype: 'f32', loadIn4bit: false })
const model = FastLanguageModel.getPeftModel(base, { r: 4, randomState: 1, loraDropout: 0.1 })
const rows = (await loadDataset(join(folder, file))).rows
const Trainer = { SFTTrainer, DPOTrainer }[kind]
const trainer = new Trainer({
  model,
  processingClass: tokenizer,
  trainDataset: new Dataset(rows),
  args: {
    maxSteps: Number(maxSteps),
    perDeviceTrainBatchSize: 4,
    learningRate: 5e-3,
    optim: 'adamw_8bit',
    loggingSteps: 3,
    saveSteps: 1,
    saveTotalLimit: 3,
    resumeFromCheckpoint: true,
    outputDir,
  },
})
for await (const event of trainer.stream()) if (event.type === 'step') process.stdout.write(`step ${event.step}\n`)
await model.savePretrained(join(outputDir, 'final'))
await base.dispose()
