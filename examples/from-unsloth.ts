import { FastLanguageModel, loadDataset, SFTConfig, SFTTrainer } from 'saqr'

const maxSeqLength = 2048
const { model: base, tokenizer } = await FastLanguageModel.fromPretrained({
  modelName: 'unsloth/Llama-3.2-1B',
  maxSeqLength,
  dtype: null,
  loadIn4bit: true,
})

const model = FastLanguageModel.getPeftModel(base, {
  r: 16,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  loraAlpha: 16,
  loraDropout: 0,
  bias: 'none',
  useGradientCheckpointing: 'unsloth',
  randomState: 3407,
  useRslora: false,
  loftqConfig: null,
})

const prompt = (instruction: unknown, input: unknown, output: unknown) =>
  `### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:\n${output}`

const dataset = (await loadDataset('rows/tasks.json', { split: 'train' })).map(
  ({ instruction, input, output }) => ({
    text: instruction!.map((one, i) => prompt(one, input![i], output![i]) + tokenizer.eosToken),
  }),
  { batched: true },
)

const trainer = new SFTTrainer({
  model,
  tokenizer,
  trainDataset: dataset,
  datasetTextField: 'text',
  maxSeqLength,
  datasetNumProc: 2,
  packing: false,
  args: new SFTConfig({
    perDeviceTrainBatchSize: 2,
    gradientAccumulationSteps: 4,
    warmupSteps: 5,
    maxSteps: 60,
    learningRate: 2e-4,
    loggingSteps: 1,
    optim: 'adamw_8bit',
    weightDecay: 0.01,
    lrSchedulerType: 'linear',
    seed: 3407,
    outputDir: 'outputs',
    reportTo: 'none',
  }),
})
const trainerStats = await trainer.train()
console.log(trainerStats.trainingLoss)

FastLanguageModel.forInference(model)
const inputs = prompt('What does a falcon eat?', '', '')
for await (const piece of model.generate(inputs, { chat: false, maxNewTokens: 64 })) process.stdout.write(piece)
process.stdout.write('\n')

await model.savePretrained('lora_model')
await tokenizer.savePretrained('lora_model')
await model.savePretrainedMerged('model', tokenizer, { saveMethod: 'merged_16bit' })
await model.savePretrainedGguf('model_gguf', tokenizer, { quantizationMethod: 'q4_k_m' })
await base.dispose()
