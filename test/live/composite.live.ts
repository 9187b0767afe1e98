/** What saqr saves of a text model beside a vision tower is what transformers and PEFT open: the class it came from, nothing missing. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { FastLanguageModel, loadDataset, SFTTrainer } from '../../src/index.ts'
import { oracle } from './oracle.ts'
import { json } from './train.ts'

const fixture = join(import.meta.dirname, '../fixtures/training/full-gemma3-whole')
const work = mkdtempSync(join(tmpdir(), 'saqr-composite-'))
afterAll(() => rmSync(work, { recursive: true }))
const at = (name: string) => join(work, name)

it('adapter and merged checkpoint', async () => {
  const { model: base } = await FastLanguageModel.fromPretrained(join(fixture, 'model'), { device: 'cpu', dtype: 'f32', loadIn4bit: false })
  const model = FastLanguageModel.getPeftModel(base, { r: 4, loraDropout: 0 })
  const trainDataset = await loadDataset(join(fixture, 'train.jsonl'))
  const args = { maxSteps: 4, learningRate: 5e-2, outputDir: at('run'), saveStrategy: 'no' as const }
  await new SFTTrainer({ model, processingClass: model.tokenizer, trainDataset, args }).train()
  await model.savePretrained(at('adapter'))
  await model.savePretrainedMerged(at('merged'))
  await base.dispose()
  const out = await oracle('composite', '--base', join(fixture, 'model'), '--adapter', at('adapter'), '--merged', at('merged'))
  const { distance, ...said } = json(join(out, 'said.json'))
  expect(said).toEqual({ class: 'Gemma3ForConditionalGeneration', missing: [], unexpected: [], warnings: [] })
  // W + s·B·A is rounded to f32 once
  expect(distance).toBeLessThan(1e-5)
})
