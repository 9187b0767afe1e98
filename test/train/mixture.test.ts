/** Mixtures of experts through the front door: over a 4-bit base, stopped and gone on with, what is said of experts, what is refused. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { FastLanguageModel, loadDataset, type PretrainedModel, type SFTConfig, SFTTrainer } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { idleExperts, shares } from '../../src/train/usage.ts'

const fixture = join(import.meta.dirname, '../fixtures/training/mixtral')
const work = mkdtempSync(join(tmpdir(), 'saqr-mixture-'))
afterAll(() => rmSync(work, { recursive: true }))

const opened = (loadIn4bit: boolean, of = fixture) =>
  FastLanguageModel.fromPretrained(join(of, 'model'), { device: 'cpu', dtype: 'float32', loadIn4bit }).then(({ model }) => model)

async function run(model: PretrainedModel, outputDir: string, args: SFTConfig) {
  const trainer = new SFTTrainer({
    model,
    trainDataset: await loadDataset(join(fixture, 'train.jsonl')),
    report: 'none',
    args: { perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 2, learningRate: 5e-3, loggingSteps: 1, outputDir, ...args },
  })
  const events = []
  for await (const event of trainer.stream()) events.push(event)
  return events
}

describe('low rank on experts over a 4-bit base', () => {
  let base: PretrainedModel
  beforeAll(async () => {
    base = await opened(true)
  })
  afterAll(() => base.dispose())
  const adapted = () => FastLanguageModel.getPeftModel(base, { r: 4, targetModules: ['q_proj', 'w1', 'w2', 'w3'] })
  const args: SFTConfig = { maxSteps: 12, saveSteps: 6 }

  it('learns, says what it trains and how evenly experts are used', async () => {
    const events = await run(adapted(), join(work, 'whole'), args)
    const start = events.find((event) => event.type === 'start')!
    expect(start.training).toMatch(/of experts 0\.01 M, of routers none, of the rest 0\.00 M/)
    const logs = events.filter((event) => event.type === 'log')
    expect(logs.at(-1)!.loss).toBeLessThan(logs[0]!.loss - 1)
    for (const { metrics } of logs) {
      const { auxLoss, busiestExpert, idlestExpert } = metrics
      // the loss is at least k = 2 where probabilities follow counts; four experts, of which a token takes two: a half at most
      expect(auxLoss).toBeGreaterThan(1.8)
      expect(busiestExpert).toBeGreaterThanOrEqual(0.25)
      expect(busiestExpert).toBeLessThanOrEqual(0.5)
      expect(idlestExpert).toBeLessThanOrEqual(0.25)
    }
  })

  it('goes on from a checkpoint to the same bits', async () => {
    await run(adapted(), join(work, 'stopped'), { ...args, maxSteps: 6 })
    await run(adapted(), join(work, 'stopped'), { ...args, resumeFromCheckpoint: join(work, 'whole', 'checkpoint-6') })
    for (const file of ['adapter_model.safetensors', 'optimizer.safetensors'])
      expect(
        readFileSync(join(work, 'stopped', 'checkpoint-12', file)).equals(readFileSync(join(work, 'whole', 'checkpoint-12', file))),
      ).toBe(true)
    const counts = (name: string) => JSON.parse(readFileSync(join(work, name, 'checkpoint-12', 'saqr_run.json'), 'utf8')).experts
    expect(counts('stopped')).toEqual(counts('whole'))
  })

  it('a step is the same cut into passes, with whole micro-batches in each', async () => {
    const losses = async (name: string, maxPassTokens: number) =>
      (await run(adapted(), join(work, name), { maxSteps: 3, saveStrategy: 'no', maxPassTokens })).flatMap((event) =>
        event.type === 'log' ? [event.loss] : [],
      )
    const [one, more] = [await losses('one', 512), await losses('more', 96)]
    // sums in another order, carried through three steps
    for (const [i, loss] of one.entries()) expect(Math.abs(loss - more[i]!)).toBeLessThan(1e-5 * loss)
  })

  it('a micro-batch that no pass holds is refused, unless the balance loss is left out', async () => {
    const small: SFTConfig = { maxSteps: 1, saveStrategy: 'no', maxPassTokens: 40 }
    await expect(run(adapted(), join(work, 'small'), small)).rejects.toThrow(
      /a micro-batch of 2 rows, \d+ tokens, does not fit a pass of 40/,
    )
    const events = await run(adapted(), join(work, 'small'), { ...small, routerAuxLossCoef: 0 })
    expect(events.find((event) => event.type === 'log')!.metrics).not.toHaveProperty('auxLoss')
  })

  it('a second call with the same targets gives the same model back', () => {
    const model = adapted()
    expect(FastLanguageModel.getPeftModel(model, { targetModules: ['q_proj', 'w1', 'w2', 'w3'] })).toBe(model)
    // names that mean no experts say nothing of them
    expect(FastLanguageModel.getPeftModel(model, { targetModules: ['q_proj'] })).toBe(model)
    expect(() => FastLanguageModel.getPeftModel(model, { targetModules: ['q_proj'], targetParameters: null })).toThrow(
      /of another targetParameters/,
    )
    expect(() => FastLanguageModel.getPeftModel(model, { targetModules: ['q_proj', 'w2'] })).toThrow(/of another targetModules/)
  })

  it('targets that can’t be are refused by name', () => {
    const get = (options: object) => () => FastLanguageModel.getPeftModel(base, options)
    expect(get({ targetModules: ['w1', 'w2'] })).toThrow(/names w1 without w3: both lie in one tensor of the experts, gate_up_proj/)
    expect(get({ targetModules: ['w2'], loraDropout: 0.1 })).toThrow(/loraDropout is 0.1, and .*down_proj is a tensor/)
    expect(get({ targetModules: ['q_proj'], targetParameters: ['gate_up'] })).toThrow(
      /targetParameters names gate_up, .*did you mean gate_up_proj\?/,
    )
    expect(get({ targetModules: ['gate_proj'] })).toThrow(/\["gate_proj"\] match no module of this mixtral model/)
    expect(get({ targetModules: [], targetParameters: ['down_projj'] })).toThrow(
      /targetParameters names down_projj, .*did you mean .*down_proj\?/,
    )
  })
})

it('low rank beside matrices that lie (in, out), over a 4-bit base: learns, goes on from a checkpoint to the same bits', async () => {
  const base = await opened(true, join(import.meta.dirname, '../fixtures/training/gpt-oss'))
  const targetParameters = ['experts.gate_up_proj', 'experts.down_proj']
  const adapted = () => FastLanguageModel.getPeftModel(base, { r: 4, targetModules: ['q_proj'], targetParameters })
  const args: SFTConfig = { maxSteps: 12, saveSteps: 6 }
  const [whole, stopped] = [join(work, 'turned'), join(work, 'turned-stopped')]
  const events = await run(adapted(), whole, args)
  expect(events.find((event) => event.type === 'start')!.training).toMatch(/of experts 0\.00 M, of routers none, of the rest 0\.00 M/)
  const losses = events.flatMap((event) => (event.type === 'log' ? [event.loss] : []))
  expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.5)
  await run(adapted(), stopped, { ...args, resumeFromCheckpoint: join(whole, 'checkpoint-6') })
  for (const file of ['adapter_model.safetensors', 'optimizer.safetensors'])
    expect(readFileSync(join(stopped, 'checkpoint-12', file)).equals(readFileSync(join(whole, 'checkpoint-12', file)))).toBe(true)
  await base.dispose()
})

describe('a checkpoint of a mixture', () => {
  /** the fixture's with one tensor changed or left out */
  async function changed(name: string, change: (shape: readonly number[]) => readonly number[] | null): Promise<string> {
    const folder = mkdtempSync(join(work, 'changed-'))
    cpSync(join(fixture, 'model'), folder, { recursive: true })
    const path = join(folder, 'model.safetensors')
    const bytes = readFileSync(path)
    const tensors = [...readSafetensors(path).tensors].flatMap(([key, { dtype, shape, offset, bytes: size }]) => {
      const wanted = key === name ? change(shape) : shape
      if (!wanted) return []
      const count = wanted.reduce((a, b) => a * b, 1) * 4
      return [{ name: key, dtype, shape: wanted, data: new Uint8Array(bytes.subarray(offset, offset + Math.min(size, count))) }]
    })
    await writeSafetensors(path, tensors, { format: 'pt' })
    return folder
  }
  const open = (folder: string) => () =>
    new OpenedModel(new CpuDevice({ threads: 1 }), openCheckpoint(folder), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })

  it('lacks an expert', async () => {
    const folder = await changed('model.layers.1.block_sparse_moe.experts.2.w3.weight', () => null)
    expect(open(folder)).toThrow(
      /lacks model.layers.1.block_sparse_moe.experts.2.w3.weight of the 8 tensors that are model.layers.1.mlp.experts.gate_up_proj: a shard may be missing/,
    )
  })

  it('has a router, or an expert, of another shape', async () => {
    const router = await changed('model.layers.0.block_sparse_moe.gate.weight', ([experts, channels]) => [experts! - 1, channels!])
    expect(open(router)).toThrow(/'model.layers.0.block_sparse_moe.gate.weight' is 3 × 32, but config.json calls for 4 × 32/)
    const expert = await changed('model.layers.0.block_sparse_moe.experts.1.w2.weight', ([rows, cols]) => [rows!, cols! - 1])
    expect(open(expert)).toThrow(/experts.1.w2.weight' is 32 × 47, but config.json calls for 32 × 48/)
  })

  it('is of a variant that is not done', () => {
    const config = JSON.parse(readFileSync(join(fixture, 'model/config.json'), 'utf8'))
    const folder = mkdtempSync(join(work, 'variant-'))
    cpSync(join(fixture, 'model'), folder, { recursive: true })
    const said = (changes: object) => {
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...changes }))
      return open(folder)
    }
    expect(said({ router_jitter_noise: 0.1 })).toThrow(/router_jitter_noise is 0.1/)
    expect(said({ num_experts_per_tok: 5 })).toThrow(/num_experts_per_tok is 5, of 4 experts/)
    expect(said({ hidden_act: 'gelu' })).toThrow(/hidden_act is "gelu"/)
  })
})

it('a coefficient for a model without experts is refused', async () => {
  const { model } = await FastLanguageModel.fromPretrained(join(import.meta.dirname, '../fixtures/training/linear-warmup/model'), {
    device: 'cpu',
    dtype: 'float32',
    loadIn4bit: false,
  })
  try {
    const args = { maxSteps: 1, saveStrategy: 'no', routerAuxLossCoef: 0.1 } as const
    await expect(run(FastLanguageModel.getPeftModel(model), join(work, 'dense'), args)).rejects.toThrow(/a llama model has no experts/)
  } finally {
    await model.dispose()
  }
})

it('experts without a token are counted, by layer', () => {
  const usage = { layers: 2, counts: [3, 0, 1, 0, 0, 4] }
  expect(shares(usage)).toEqual({ busiestExpert: 1, idlestExpert: 0 })
  expect(idleExperts(usage)).toBe(
    '3 of 6 experts got no token in the whole run, and nothing of them was trained: expert 1 of the 1st, 0 of the 2nd, 1 of the 2nd of 2 layers with experts',
  )
  expect(idleExperts({ layers: 1, counts: [1, 2] })).toBe(null)
})
