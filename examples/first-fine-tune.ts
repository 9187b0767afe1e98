import { FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const { model } = await FastLanguageModel.fromPretrained('HuggingFaceTB/SmolLM2-135M-Instruct', { loadIn4bit: false })
const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 })
peft.printTrainableParameters()

const { train, test } = (await loadDataset('rows/tasks.json')).trainTestSplit({ testSize: 0.2, seed: 7 })

const trainer = new SFTTrainer({
  model: peft,
  trainDataset: train,
  evalDataset: test,
  args: {
    perDeviceTrainBatchSize: 4,
    maxSteps: 80,
    learningRate: 1e-3,
    loggingSteps: 20,
    evalStrategy: 'steps',
    outputDir: 'falconer',
  },
})
const { trainingLoss } = await trainer.train()
console.log(`mean loss ${trainingLoss.toFixed(3)}`)

const prompt = 'What is a creance?'
for (const adapter of [false, true]) {
  process.stdout.write(adapter ? 'after:  ' : 'before: ')
  for await (const piece of peft.generate(prompt, { adapter, maxNewTokens: 40 })) process.stdout.write(piece)
  process.stdout.write('\n')
}

await trainer.saveModel('falconer')
await model.dispose()
