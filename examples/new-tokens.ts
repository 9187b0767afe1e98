import { addNewTokens, FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const { model, tokenizer } = await FastLanguageModel.fromPretrained('HuggingFaceTB/SmolLM2-135M-Instruct', { loadIn4bit: false })

const newTokens = ['<fact>', '</fact>']
const rowsBefore = model.vocabSize
await addNewTokens(model, tokenizer, { newTokens })
const ids = tokenizer.encode(newTokens.join(''), { addSpecialTokens: false })
console.log(ids, 'beside', rowsBefore, 'rows')

const peft = FastLanguageModel.getPeftModel(model, { r: 8, loraAlpha: 16, trainableTokenIndices: ids })
peft.printTrainableParameters()

const rows = await loadDataset('rows/chats.jsonl')
const marked = rows.map((row) => ({
  messages: (row.messages as { role: string; content: string }[]).map(({ role, content }) => ({
    role,
    content: role === 'assistant' ? `<fact>${content}</fact>` : content,
  })),
}))

const trainer = new SFTTrainer({
  model: peft,
  trainDataset: marked,
  args: { maxSteps: 30, perDeviceTrainBatchSize: 2, learningRate: 5e-3, outputDir: 'facts' },
})
await trainer.train()

for await (const piece of peft.generate([{ role: 'user', content: 'What is a jess?' }], { maxNewTokens: 40 })) process.stdout.write(piece)
process.stdout.write('\n')

await peft.savePretrained('facts-adapter')
await peft.savePretrainedMerged('facts-merged')
await model.dispose()
