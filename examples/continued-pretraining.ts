import { addNewTokens, FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const { model, tokenizer } = await FastLanguageModel.fromPretrained('HuggingFaceTB/SmolLM2-135M-Instruct', { loadIn4bit: false })

await addNewTokens(model, tokenizer, { newTokens: ['creance', 'tiercel'] })
console.log(tokenizer.encode('a tiercel on the creance').length, 'tokens,', model.vocabSize, 'rows of the embedding')

const peft = FastLanguageModel.getPeftModel(model, {
  r: 128,
  loraAlpha: 32,
  useRslora: true,
  modulesToSave: ['embed_tokens', 'lm_head'],
})

const trainer = new SFTTrainer({
  model: peft,
  trainDataset: await loadDataset('rows/texts.jsonl'),
  args: {
    datasetTextField: 'text',
    packing: true,
    maxLength: 512,
    perDeviceTrainBatchSize: 2,
    numTrainEpochs: 2,
    learningRate: 5e-5,
    embeddingLearningRate: 5e-6,
    warmupRatio: 0.1,
    outputDir: 'read-on',
  },
})
await trainer.train()

for await (const piece of peft.generate('A falcon is', { chat: false, maxNewTokens: 40 })) process.stdout.write(piece)
process.stdout.write('\n')

await peft.savePretrained('read-on-adapter')
await peft.savePretrainedMerged('read-on-merged')
await model.dispose()
