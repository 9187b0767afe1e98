import { DPOTrainer, FastLanguageModel, loadDataset } from 'saqr'

const { model } = await FastLanguageModel.fromPretrained('HuggingFaceTB/SmolLM2-135M-Instruct', { loadIn4bit: false })
const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 })

const { train, test } = (await loadDataset('rows/pairs.jsonl')).trainTestSplit({ testSize: 4, seed: 7 })

const trainer = new DPOTrainer({
  model: peft,
  trainDataset: train,
  evalDataset: test,
  args: {
    beta: 0.1,
    maxSteps: 20,
    perDeviceTrainBatchSize: 4,
    learningRate: 1e-4,
    loggingSteps: 5,
    evalStrategy: 'steps',
    outputDir: 'preferred',
  },
})
const before = await trainer.evaluate()
await trainer.train()
const after = await trainer.evaluate()
console.log('chosen above rejected:', before['evalRewards/accuracies'], 'before,', after['evalRewards/accuracies'], 'after')

await peft.savePretrained('preferred-adapter')
await model.dispose()
