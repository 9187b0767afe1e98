import { FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const { model } = await FastLanguageModel.fromPretrained('Qwen/Qwen3-30B-A3B', { loadIn4bit: true, maxSeqLength: 2048 })
const peft = FastLanguageModel.getPeftModel(model, {
  r: 16,
  loraAlpha: 16,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
})
peft.printTrainableParameters()

const trainer = new SFTTrainer({
  model: peft,
  trainDataset: await loadDataset('rows/chats.jsonl'),
  args: { perDeviceTrainBatchSize: 2, maxSteps: 10, learningRate: 2e-4, optim: 'adamw_8bit', outputDir: 'mixture' },
})
await trainer.train()

await peft.savePretrained('mixture-adapter')
await peft.savePretrained('mixture-by-expert', { unfuseExperts: true })
await model.dispose()
