import { FastLanguageModel, loadDataset, SFTConfig, SFTTrainer } from 'saqr'

const { model } = await FastLanguageModel.fromPretrained('HuggingFaceTB/SmolLM2-135M-Instruct', { loadIn4bit: false })

const trainer = new SFTTrainer({
  model: FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 32, loraDropout: 0.05, targetModules: ['q_proj', 'v_proj'] }),
  trainDataset: await loadDataset('rows/chats.jsonl', { split: 'train' }),
  args: new SFTConfig({
    outputDir: 'trl-out',
    perDeviceTrainBatchSize: 2,
    gradientAccumulationSteps: 2,
    learningRate: 2e-4,
    lrSchedulerType: 'cosine',
    warmupSteps: 2,
    maxSteps: 10,
    loggingSteps: 2,
    bf16: true,
  }),
})
await trainer.train()
await trainer.saveModel('trl-out')
await model.dispose()
