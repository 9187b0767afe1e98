/** Rows of single tokens (PEFT's trainable_token_indices) in a run: of all tokens they are the embedding and the head, and the base stays as it is. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TOKEN_ROWS } from '../../src/adapters/token-rows.ts'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { withoutAdapter } from '../../src/engine/without-adapter.ts'
import { type AdapterConfig, loraConfig } from '../../src/formats/peft/config.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { DPOTrainer } from '../../src/train/dpo-trainer.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'
import { logProbabilities } from '../engine/extended-models.ts'
import { distance, readTensors } from '../parity/family-case.ts'

const root = join(import.meta.dirname, '../fixtures/preference')
const work = mkdtempSync(join(tmpdir(), 'saqr-token-rows-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

let device: CpuDevice
let opened: OpenedModel
beforeEach(() => {
  device = new CpuDevice({ threads: 2 })
  opened = new OpenedModel(device, openCheckpoint(join(root, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
})
afterEach(() => device.dispose())

const adapted = (config: Partial<AdapterConfig>) =>
  new LanguageModel(opened, { kind: 'lora', config: loraConfig({ r: 4, targetModules: ['q_proj', 'v_proj'], ...config }) }, 7)
const all = () => Array.from({ length: opened.model.vocab }, (_, id) => id)

async function run(kind: 'sft' | 'dpo', language: LanguageModel, outputDir: string, args: object = {}) {
  const init = {
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: await loadDataset(join(root, kind === 'dpo' ? 'pairs.jsonl' : 'rated.jsonl')),
    args: {
      ...{ outputDir: join(work, outputDir), perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 2, maxSteps: 6, loggingSteps: 1 },
      ...{ saveStrategy: 'no', learningRate: 2e-3, ...args },
    },
  }
  const trainer = kind === 'dpo' ? new DPOTrainer(init as never) : new SFTTrainer(init as never)
  const losses: number[] = []
  for await (const event of trainer.stream()) if (event.type === 'step') losses.push(event.loss)
  return losses
}

describe.each(['sft', 'dpo'] as const)('%s: rows of every token', (kind) => {
  it.each([
    ['of the embedding', ['embed_tokens']],
    ['of embedding and head', ['embed_tokens', 'lm_head']],
  ] as const)('%s are what is trained whole', async (_, modules) => {
    const rows = adapted({ trainableTokenIndices: Object.fromEntries(modules.map((module) => [module, all()])) })
    const whole = adapted({ modulesToSave: [...modules] })
    const [losses, wanted] = [await run(kind, rows, `${kind}-rows`), await run(kind, whole, `${kind}-whole`)]
    // the same sums in another order, six steps of AdamW over them
    for (const [i, loss] of losses.entries()) expect(Math.abs(loss - wanted[i]!), `step ${i + 1}`).toBeLessThan(1e-5)
    expect(losses.at(-1)).not.toBe(losses[0])
    for (const name of whole.trainables.names) {
      const path = name.replace(/\.weight$/, '')
      const own = rows.trainables.names.includes(name) ? name : `${path}.${TOKEN_ROWS}`
      expect(distance(rows.trainables.get(own), whole.trainables.get(name)), name).toBeLessThan(1e-5)
    }
  })
})

it('the base stays as it is, and so do other adapters over it', async () => {
  const base = new LanguageModel(opened, { kind: 'none' }, 0)
  const row = [3, 17, 5, 9, 4, 21, 3]
  const before = await logProbabilities(base, row)
  const rows = adapted({ trainableTokenIndices: [5, 9, 3] })
  const other = adapted({ trainableTokenIndices: [9, 4] })
  expect(await logProbabilities(rows, row)).toEqual(before)
  await run('sft', rows, 'base')
  expect(await logProbabilities(rows, row)).not.toEqual(before)
  for (const one of [base, other, withoutAdapter(rows)]) expect(await logProbabilities(one, row)).toEqual(before)
})

it('goes on bit for bit after a stop', async () => {
  const config = { trainableTokenIndices: { lm_head: [20, 30, 40], embed_tokens: [30, 99] } }
  const [whole, first, second] = [adapted(config), adapted(config), adapted(config)]
  await run('sft', whole, 'whole')
  await run('sft', first, 'part', { maxSteps: 6, saveStrategy: 'steps', saveSteps: 3 })
  rmSync(join(work, 'part', 'checkpoint-6'), { recursive: true })
  await run('sft', second, 'part', { resumeFromCheckpoint: true })
  for (const name of whole.trainables.names) expect(second.trainables.get(name), name).toEqual(whole.trainables.get(name))
  await saveTrained(second, join(work, 'saved'))
  const saved = readTensors(join(work, 'saved', 'adapter_model.safetensors'))
  expect([...saved.keys()].filter((name) => name.endsWith(TOKEN_ROWS)).sort()).toEqual([
    `base_model.model.lm_head.${TOKEN_ROWS}`,
    `base_model.model.model.embed_tokens.${TOKEN_ROWS}`,
  ])
})

it.each([
  [{ trainableTokenIndices: [3, 5, 3] }, 'token 3 is named twice'],
  [{ trainableTokenIndices: [] }, 'none is named'],
  [{ trainableTokenIndices: [1e6] }, 'token 1000000 is none'],
  [{ trainableTokenIndices: { q_proj: [3] } }, 'q_proj is neither embedding nor head (model.embed_tokens, lm_head)'],
  [{ trainableTokenIndices: [3], modulesToSave: ['embed_tokens'] }, 'trained whole (modules_to_save)'],
  [{ trainableTokenIndices: { lm_head: [3] }, targetModules: ['q_proj', 'lm_head'] }, 'lm_head has a low-rank part'],
  [{ trainableTokenIndices: [1.5] }, 'a list of token ids'],
  [{ trainableTokenIndices: '3' }, 'a list of token ids'],
  [{ trainableTokenIndices: [3], targetModules: [] }, 'match no module', 'OPTION_MODULES'],
])('%j: refused by name', async (options, message, code = 'OPTION_INVALID') => {
  const { model } = await FastLanguageModel.fromPretrained(join(root, 'model'), { device, dtype: 'float32', loadIn4bit: false })
  expect(() => FastLanguageModel.getPeftModel(model, options as never)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message) }),
  )
})
