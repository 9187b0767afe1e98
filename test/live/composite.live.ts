/** What saqr saves of a text model beside a vision tower, and of mixtures of experts in both forms, is what transformers and PEFT open: the class it came from, nothing missing. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { parametersOf } from '../../src/engine/settle.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { FastLanguageModel, loadDataset, type SaveOptions, SFTTrainer } from '../../src/index.ts'
import { openConfig } from '../../src/models/registry.ts'
import { oracle } from './oracle.ts'
import { json } from './train.ts'

/**
 * Experts narrower than x is wide, and ones whose matrices are square: what guesses by shapes which way a low-rank part lies takes these the other way round. Each
 * expert's linears lie in files of their own kind, some of a layer in one file, some in the next.
 */
const NARROW = {
  ...{
    model_type: 'qwen3_moe',
    architectures: ['Qwen3MoeForCausalLM'],
    vocab_size: 192,
    hidden_size: 32,
    intermediate_size: 40,
    head_dim: 8,
  },
  ...{ num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, num_experts: 6, num_experts_per_tok: 2, norm_topk_prob: true },
  ...{ max_position_embeddings: 128, tie_word_embeddings: false, decoder_sparse_step: 1, mlp_only_layers: [] },
}

async function writeNarrow(folder: string, width: number): Promise<void> {
  mkdirSync(folder)
  const config = { ...NARROW, moe_intermediate_size: width }
  const model = openConfig(config)
  const values = (rows: number, cols: number, seed: number, size: number) =>
    Float32Array.from({ length: rows * cols }, (_, i) => size * Math.sin(i * 12.9898 + seed * 78.233))
  const tensors = [...parametersOf(model).values()].flatMap(({ name, rows, cols, role }, i) => {
    const pieces = model.pieces?.(name)[0] ?? [name]
    return pieces.map((piece, j) => ({
      name: piece,
      shape: role === 'norm' ? [cols] : [rows / pieces.length, cols],
      values: role === 'norm' ? new Float32Array(cols).fill(1) : values(rows / pieces.length, cols, i + j / 7, 0.3),
    }))
  })
  const index: Record<string, string> = {}
  for (const part of [0, 1]) {
    // every second tensor in the one file, the others in the other
    const own = tensors.filter((_, i) => i % 2 === part)
    const file = `model-0000${part + 1}-of-00002.safetensors`
    await writeSafetensors(
      join(folder, file),
      own.map((t) => ({ name: t.name, dtype: 'F32', shape: t.shape, data: bytesOf(t.values) })),
      { format: 'pt' },
    )
    for (const { name } of own) index[name] = file
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: index }))
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    cpSync(join(import.meta.dirname, '../fixtures/training/full-qwen3-moe/model', name), join(folder, name))
  writeFileSync(join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: 7, temperature: 0.6, do_sample: true }))
}

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

it.each([
  [12, {}],
  [16, {}],
  [32, {}],
  [16, { unfuseExperts: true }],
])('experts %i wide beside 32 channels, %j', async (width, form: SaveOptions) => {
  const work = mkdtempSync(join(tmpdir(), 'saqr-composite-'))
  made.push(work)
  const at = (name: string) => join(work, name)
  await writeNarrow(at('base'), width)
  const { model: base } = await FastLanguageModel.fromPretrained(at('base'), { device: 'cpu', dtype: 'f32', loadIn4bit: false })
  const model = FastLanguageModel.getPeftModel(base, { r: 4, loraAlpha: 8 })
  const { trainables } = model.language
  for (const [seed, name] of trainables.names.entries()) {
    const { rows, cols } = trainables.shape(name)
    trainables.set(
      name,
      Float32Array.from({ length: rows * cols }, (_, i) => 0.2 * Math.sin(i * 1.7 + seed)),
    )
  }
  await model.savePretrained(at('adapter'), form)
  await model.savePretrainedMerged(at('merged'), { check: false })
  await base.dispose()
  // the tokenizer's end stands beside the one that was named, as transformers' trainer has it
  expect(json(at('merged/generation_config.json'))).toMatchObject({ eos_token_id: [2, 7], temperature: 0.6 })
  const out = await oracle('composite', '--base', at('base'), '--adapter', at('adapter'), '--merged', at('merged'))
  const { distance, weights, ...said } = json(join(out, 'said.json'))
  expect(said).toEqual({ class: 'Qwen3MoeForCausalLM', missing: [], unexpected: [], unmerged: [], warnings: [] })
  expect(distance).toBeLessThan(1e-5)
  // as above, of rank 8 in gate and up, and ΔW some three times as large as W
  expect(weights[1], weights[0]).toBeLessThan(3 * 11 * 2 ** -24)
})
