// Rounds of load, train, dispose in one process; prints the resident bytes after each:  node --expose-gc rounds.mjs FOLDER ROUNDS
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FastLanguageModel, loadDataset, SFTTrainer } from 'saqr'

const [folder, rounds] = process.argv.slice(2)
const outputDir = mkdtempSync(join(tmpdir(), 'saqr-rounds-'))
const rss = []
for (let i = 0; i < Number(rounds); i++) {
  const { model: base, tokenizer } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { dtype: 'f32', loadIn4bit: false })
  const model = FastLanguageModel.getPeftModel(base, { r: 4 })
  const trainDataset = await loadDataset(join(folder, 'train.jsonl'))
  await new SFTTrainer({ model, processingClass: tokenizer, trainDataset, args: { maxSteps: 3, saveStrategy: 'no', outputDir } }).train()
  await model.dispose()
  await base.dispose()
  for (let k = 0; k < 3; k++) {
    globalThis.gc()
    await new Promise((next) => setTimeout(next, 5))
  }
  rss.push(process.memoryUsage.rss())
}
rmSync(outputDir, { recursive: true })
console.log(JSON.stringify(rss))
