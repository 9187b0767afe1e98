import { FastLanguageModel, loadDataset, SFTTrainer, trainOnResponsesOnly } from 'saqr'

const { model, tokenizer } = await FastLanguageModel.fromPretrained('HuggingFaceTB/SmolLM2-135M-Instruct', { loadIn4bit: false })
const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 })

const rows = await loadDataset('rows/chats.jsonl')
const [first] = [...rows] as { messages: { role: string; content: string }[] }[]
console.log(tokenizer.applyChatTemplate(first!.messages, { tokenize: false }))

const trainer = new SFTTrainer({
  model: peft,
  trainDataset: rows,
  args: { maxSteps: 30, perDeviceTrainBatchSize: 2, learningRate: 1e-3, outputDir: 'chat' },
})
trainOnResponsesOnly(trainer, { instructionPart: '<|im_start|>user\n', responsePart: '<|im_start|>assistant\n' })
await trainer.train()

const chat = peft.chat({ system: 'You are an old falconer. You answer in one sentence.', maxNewTokens: 60 })
for (const question of ['What is a mews?', 'And who lives there?']) {
  process.stdout.write(`> ${question}\n`)
  for await (const piece of chat.send(question)) process.stdout.write(piece)
  process.stdout.write('\n')
}
console.log(chat.messages.length) // system, and two turns of each

await model.dispose()
