import { FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const { model } = await FastLanguageModel.fromPretrained('Qwen/Qwen2.5-0.5B-Instruct', { loadIn4bit: false })
const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 })

const trainer = new SFTTrainer({
  model: peft,
  trainDataset: await loadDataset('rows/openai.jsonl'),
  args: {
    assistantOnlyLoss: true,
    numTrainEpochs: 3, // n_epochs
    perDeviceTrainBatchSize: 2, // batch_size
    learningRate: 2e-4, // OpenAI has a multiplier of a rate that it doesn't tell
    seed: 42,
    outputDir: 'tuned',
  },
})
await trainer.train()
await trainer.saveModel('tuned')

const messages = [{ role: 'user', content: 'What is a lure?' }]
for await (const piece of peft.generate(messages, { maxNewTokens: 40, doSample: false })) process.stdout.write(piece)
process.stdout.write('\n')
await model.dispose()
