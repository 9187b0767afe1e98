import { FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const { model } = await FastLanguageModel.fromPretrained('HuggingFaceTB/SmolLM2-135M-Instruct', { loadIn4bit: false })
const peft = FastLanguageModel.getPeftModel(model, { r: 8, loraAlpha: 8 })

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

const trainer = new SFTTrainer({
  model: peft,
  trainDataset: await loadDataset('rows/tasks.json'),
  args: {
    perDeviceTrainBatchSize: 4,
    maxSteps: 20,
    learningRate: 2e-4,
    saveSteps: 5,
    saveTotalLimit: 2,
    outputDir: 'long-run',
  },
  callbacks: [(event) => event.type === 'step' && event.step === 7 && stop.abort()], // as if Ctrl-C were pressed
})

const first = await trainer.train({ signal: stop.signal })
console.log(`stopped after step ${first.globalStep}; ${first.stopped} is whole`)

const second = await trainer.train({ resumeFromCheckpoint: true })
console.log(`finished at step ${second.globalStep}`)

await model.dispose()
