/** What saqr saves of a text model beside a vision tower, and of mixtures of experts in both forms, is what transformers and PEFT open: the class it came from, nothing missing. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { FastLanguageModel, loadDataset, type SaveOptions, SFTTrainer } from '../../src/index.ts'
import { oracle } from './oracle.ts'
import { json } from './train.ts'

const made: string[] = []
afterAll(() => made.map((folder) => rmSync(folder, { recursive: true })))

it.each([
  ['training/full-gemma3-whole', 'Gemma3ForConditionalGeneration', {}],
  // experts by their linears' names, which are the default; all that is linear, routers too; one tensor alone
  ['training/mixtral', 'MixtralForCausalLM', {}],
  ['training/full-qwen3-moe', 'Qwen3MoeForCausalLM', { targetModules: 'all-linear' }],
  ['training/mixtral', 'MixtralForCausalLM', { targetModules: ['q_proj'], targetParameters: ['experts.gate_up_proj'], useRslora: true }],
  // matrices that lie (in, out): both tensors of the experts, one alone
  ['training/gpt-oss', 'GptOssForCausalLM', { targetModules: ['o_proj'], targetParameters: ['experts.gate_up_proj', 'experts.down_proj'] }],
  ['training/gpt-oss', 'GptOssForCausalLM', { targetModules: 'all-linear', targetParameters: ['experts.down_proj'], useRslora: true }],
  // each expert's linears by themselves
  ['training/mixtral', 'MixtralForCausalLM', { useRslora: true }, { unfuseExperts: true }],
  ['training/full-qwen3-moe', 'Qwen3MoeForCausalLM', { targetModules: 'all-linear' }, { unfuseExperts: true }],
  ['training/deepseek-v3', 'DeepseekV3ForCausalLM', {}, { unfuseExperts: true }],
])('adapter and merged checkpoint of %s', async (name, architecture, options, form: SaveOptions = {}) => {
  const fixture = join(import.meta.dirname, '../fixtures', name)
  const work = mkdtempSync(join(tmpdir(), 'saqr-composite-'))
  made.push(work)
  const at = (name: string) => join(work, name)
  const { model: base } = await FastLanguageModel.fromPretrained(join(fixture, 'model'), { device: 'cpu', dtype: 'f32', loadIn4bit: false })
  const model = FastLanguageModel.getPeftModel(base, { r: 4, ...options })
  const trainDataset = await loadDataset(join(fixture, 'train.jsonl'))
  const args = { maxSteps: 4, learningRate: 5e-2, outputDir: at('run'), saveStrategy: 'no' as const }
  await new SFTTrainer({ model, processingClass: model.tokenizer, trainDataset, args }).train()
  await model.savePretrained(at('adapter'), form)
  await model.savePretrainedMerged(at('merged'))
  await base.dispose()
  const out = await oracle('composite', '--base', join(fixture, 'model'), '--adapter', at('adapter'), '--merged', at('merged'))
  const { distance, weights, ...said } = json(join(out, 'said.json'))
  expect(said).toEqual({ class: architecture, missing: [], unexpected: [], unmerged: [], warnings: [] })
  // W + s·B·A is rounded to f32 once
  expect(distance).toBeLessThan(1e-5)
  // PEFT rounds each of the r products and sums of ΔW, its scale and W + ΔW: (r + 3) · 2^-24 of W at most where ΔW is no larger than it, r 4 here
  expect(weights[1], weights[0]).toBeLessThan(7 * 2 ** -24)
})
