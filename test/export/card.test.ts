/** Model cards: the Hub's front matter, the run's facts, how near what was saved is; what somebody wrote is kept. */
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { exportModel } from '../../src/cli/verbs/export.ts'
import { sft } from '../../src/cli/verbs/sft.ts'
import { readRunRecord } from '../../src/data/run-record.ts'
import { Dataset, FastLanguageModel, SFTTrainer } from '../../src/index.ts'
import { commandLine } from '../cli/saqr.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-card-'))
const at = (name: string) => join(folder, name)
const saqr = commandLine({ export: exportModel, sft })
const snapshot = at('cache/models--falconry--tiny/snapshots/c0ffee')
const card = (name: string) => {
  const text = readFileSync(at(`${name}/README.md`), 'utf8')
  const [, head, body] = /^---\n([\s\S]*?)---\n([\s\S]*)$/.exec(text)!
  return { front: parse(head!), body: body! }
}

beforeAll(async () => {
  await writeTinyModel(at('base'))
  mkdirSync(join(snapshot, '..'), { recursive: true })
  cpSync(at('base'), snapshot, { recursive: true })
  writeFileSync(join(snapshot, 'README.md'), '---\nlicense: apache-2.0\ntags:\n- x\n---\n# Tiny\n')
  writeFileSync(at('rows.jsonl'), tinyRows())
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(snapshot, { device: 'cpu', dtype: 'float32', loadIn4bit: false })
  const peft = FastLanguageModel.getPeftModel(model, { r: 2 })
  const rows = readFileSync(at('rows.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line)) // biome-ignore format: one thing
  const trainer = new SFTTrainer({
    model: peft,
    processingClass: tokenizer,
    trainDataset: new Dataset(rows, 'falconry/rows (train)'),
    evalDataset: new Dataset(rows.slice(0, 4)),
    args: {
      maxSteps: 3,
      loggingSteps: 1,
      learningRate: 1e-3,
      evalStrategy: 'steps',
      evalSteps: 3,
      outputDir: at('run'),
      saveStrategy: 'no',
      cacheRows: false,
    },
    report: 'none',
  })
  await trainer.train()
  await peft.savePretrained(at('adapter'))
  await model.dispose()
})
afterAll(() => rmSync(folder, { recursive: true }))

it('of an adapter: PEFT’s keys, the license of its base, how it was trained', () => {
  const { front, body } = card('adapter')
  expect(front).toEqual({
    base_model: 'falconry/tiny',
    base_model_relation: 'adapter',
    library_name: 'peft',
    license: 'apache-2.0',
    pipeline_tag: 'text-generation',
    datasets: ['falconry/rows'],
    tags: ['base_model:adapter:falconry/tiny', 'lora', 'transformers', 'generated_from_trainer', 'sft', 'saqr'],
  })
  const run = readRunRecord(at('adapter'))!
  expect(run).toMatchObject({ method: 'sft', steps: 3, base: 'falconry/tiny', datasets: ['falconry/rows'] })
  expect(run.options).toMatchObject({ learning_rate: 1e-3, max_steps: 3, seed: 42 })
  expect(body).toContain(`| loss | ${run.loss!.toFixed(4)}, the last that was logged |`)
  expect(body).toContain(`| loss on held-out rows | ${run.evalLoss!.toFixed(4)} |`)
  expect(body).toContain('| trained | LoRA r 2')
  expect(body).toContain('[falconry/rows](https://huggingface.co/datasets/falconry/rows)')
  expect(body).toContain('`learning_rate` 0.001')
  for (const private_ of [folder, 'output_dir', 'token']) expect(body.replace(/tokens|Tokenizer|tokenizer/g, '')).not.toContain(private_)
})

it('of what is exported later, by another process: the same run, and how near it is', async () => {
  const base = ['--model_name_or_path', at('adapter'), '--use_cpu', '--no_bf16', '--dtype', 'float32']
  expect((await saqr('export', ...base, '--merged', '--output_dir', at('merged'))).code).toBe(0)
  const merged = card('merged')
  expect(merged.front).toMatchObject({ base_model: 'falconry/tiny', library_name: 'transformers', base_model_relation: 'finetune' })
  expect(merged.body).toMatch(/## Saved as trained\n\nOpened again, it is \S+ nats from the trained model \(0\.00001 allowed\)/)
  expect(readRunRecord(at('merged'))).toEqual(readRunRecord(at('adapter')))
  expect((await saqr('export', ...base, '--gguf', 'f16,q8_0', '--output_dir', at('gguf'))).code).toBe(0)
  const gguf = card('gguf')
  expect(gguf.front).toMatchObject({ library_name: 'gguf', tags: expect.arrayContaining(['gguf', 'llama.cpp', 'sft']) })
  expect(gguf.body).toMatch(/- `gguf\.F16\.gguf`: opened again, .*\n- `gguf\.Q8_0\.gguf`: opened again/)
  expect(gguf.body).toContain('| method | SFT |')
  expect(gguf.body).toContain('llama-cli -m gguf.F16.gguf\nollama create gguf -f Modelfile.F16\n')
})

it('of GGUF files: the commands of llama.cpp and Ollama, of a file in parts by its first', async () => {
  const base = ['--model_name_or_path', at('adapter'), '--use_cpu', '--no_check']
  expect((await saqr('export', ...base, '--gguf', 'q8_0', '--output_dir', at('one'))).code).toBe(0)
  expect(card('one').body).toContain('llama-cli -m one.Q8_0.gguf\nollama create one -f Modelfile\n')
  expect((await saqr('export', ...base, '--gguf', 'q8_0', '--split_max_size', '10KB', '--output_dir', at('parts'))).code).toBe(0)
  expect(card('parts').body).toMatch(/```sh\nllama-cli -m parts\.Q8_0-00001-of-0000\d\.gguf\nollama create parts -f Modelfile\n```/)
})

it('of an adapter over a GGUF file: no Python, which would not find the base', async () => {
  expect(card('adapter').body).toContain('AutoPeftModelForCausalLM.from_pretrained("adapter")')
  const args = ['--dataset_name', at('rows.jsonl'), '--use_peft', '--max_steps', '1', '--use_cpu', '--output_dir', at('over-gguf')]
  expect((await saqr('export', '--model_name_or_path', at('base'), '--use_cpu', '--gguf', 'f16', '--output_dir', at('b.gguf'))).code).toBe(
    0,
  )
  expect((await saqr('sft', '--model_name_or_path', at('b.gguf'), ...args)).code).toBe(0)
  const { body } = card('over-gguf')
  expect(body).not.toMatch(/python|from_pretrained/)
  expect(body).toContain('```sh\nnpx saqr generate --model_name_or_path over-gguf "…"\n```\n\nIts base is a GGUF file')
})

it('a page that somebody wrote or edited is kept, and told; one that nobody touched is written anew', async () => {
  const base = ['--model_name_or_path', at('adapter'), '--use_cpu', '--peft', '--overwrite', '--output_dir', at('peft')]
  expect((await saqr('export', ...base)).err).not.toContain('README')
  const first = card('peft').body
  expect((await saqr('export', ...base)).err).not.toContain('README')
  expect(card('peft').body).toBe(first)
  appendFileSync(at('peft/README.md'), '\nI tried it on mice.\n')
  expect((await saqr('export', ...base)).err).toContain('README.md is kept as it is')
  expect(card('peft').body).toContain('mice')
})

it('a model from a folder names no base, and a run of the command line has its card', async () => {
  const args = ['--model_name_or_path', at('base'), '--dataset_name', at('rows.jsonl'), '--use_peft', '--max_steps', '1', '--use_cpu']
  expect((await saqr('sft', ...args, '--output_dir', at('out'))).code).toBe(0)
  const { front, body } = card('out')
  expect(front).toEqual({
    library_name: 'peft',
    pipeline_tag: 'text-generation',
    tags: ['lora', 'transformers', 'generated_from_trainer', 'sft', 'saqr'],
  })
  expect(body).not.toContain(folder)
})

it('a damaged record is told', () => {
  mkdirSync(at('bad'))
  writeFileSync(at('bad/saqr.json'), '{"run": {"method": "sft"}}')
  expect(() => readRunRecord(at('bad'))).toThrow(/saqr\.json: run is not what saqr writes/)
})
