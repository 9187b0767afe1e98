import { FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const { model } = await FastLanguageModel.fromPretrained('meta-llama/Llama-3.1-8B-Instruct', {
  maxSeqLength: 2048,
  loadIn4bit: true, // NF4; the default
})
const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 })

const trainer = new SFTTrainer({
  model: peft,
  trainDataset: await loadDataset('rows/chats.jsonl'),
  memory: '8GB',
  args: {
    perDeviceTrainBatchSize: 2,
    gradientAccumulationSteps: 4,
    maxSteps: 10,
    learningRate: 2e-4,
    optim: 'adamw_8bit',
    outputDir: 'qlora',
  },
})

for await (const event of trainer.stream()) {
  if (event.type === 'start') {
    const { total, overhead, budget } = event.memory
    console.log(`planned ${total} bytes on the device and ${overhead} beside it, of ${budget}`)
  }
  if (event.type === 'step') console.log(event.step, event.loss)
}

await peft.savePretrained('qlora-adapter')
await model.dispose()
