/** Vocabularies of another size: rows as transformers draws them (tools/oracle/extended.py), kept by whatever is saved. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { asF32 } from '../../src/formats/numbers.ts'
import { addNewTokens, FastLanguageModel } from '../../src/index.ts'
import { distance, readTensors } from '../parity/family-case.ts'
import { logProbabilities, makeWay, OPTIONS, openExtended, ROWS, train, WAYS } from './extended-models.ts'

const root = join(import.meta.dirname, '../fixtures/extended')
const work = mkdtempSync(join(tmpdir(), 'saqr-resize-'))
afterAll(() => rmSync(work, { recursive: true }))

const open = async (name: string, options: object = {}) => FastLanguageModel.fromPretrained(join(root, name), { ...OPTIONS, ...options })
const VOCAB = 260

describe.each(['tied-constant', 'untied-constant', 'tied-full', 'untied-full'])('%s', (name) => {
  const recorded = readTensors(join(root, name, 'rows.safetensors'))
  const tied = name.startsWith('tied')
  const weights = { embedding: 'model.embed_tokens.weight', ...(tied ? {} : { head: 'lm_head.weight' }) }

  it('new rows are those of transformers, or drawn as they are', async () => {
    const { model } = await open(name)
    const more = name.endsWith('full') ? 4000 : 11
    expect(await model.resizeTokenEmbeddings(VOCAB + more)).toBe(VOCAB + more)
    const { tensors, config } = model.language.opened.checkpoint
    expect(config.vocab_size).toBe(VOCAB + more)
    for (const [key, weight] of Object.entries(weights)) {
      const t = tensors.get(weight)!
      const rows = asF32(t.load('f32', VOCAB))
      const mean = recorded.get(`${key}.mean`)!
      if (name.endsWith('constant')) {
        // the mean: 260 values summed in f32 there, in f64 here
        expect(distance(rows, recorded.get(key)!)).toBeLessThan(1e-6)
        continue
      }
      // the second moments of 4,000 draws lie within √(2 / 4000) of what they are drawn with, 2 %; f32 rounds a deviation of 1e-5 of a value of 0.1 to 1e-3
      const covariance = moments(rows, mean)
      const expected = recorded.get(`${key}.covariance`)!.map((x) => x * 1e-9)
      expect(distance(covariance, expected)).toBeLessThan(0.15)
      // what torch drew has it too
      const theirs = recorded.get(key)!
      const size = (values: Float32Array) => values.reduce((sum, x, i) => sum + (x - mean[i % 16]!) ** 2, 0) / values.length
      expect(size(theirs) / size(rows)).toBeGreaterThan(0.6)
      expect(size(theirs) / size(rows)).toBeLessThan(1.6)
    }
    await model.dispose()
  })

  it('goes back to what it was', async () => {
    const { model } = await open(name)
    const row = [3, 17, 5, 9]
    const before = await logProbabilities(model.language, row)
    await model.resizeTokenEmbeddings(300, { padToMultipleOf: 64 })
    expect(model.vocabSize).toBe(320)
    expect([...(await logProbabilities(model.language, row))]).not.toEqual([...before])
    await model.resizeTokenEmbeddings(VOCAB)
    expect([...(await logProbabilities(model.language, row))]).toEqual([...before])
    await model.dispose()
  })
})

function moments(rows: Float32Array, mean: Float32Array): Float32Array {
  const [n, C] = [rows.length / mean.length, mean.length]
  const sums = new Float64Array(C * C)
  for (let i = 0; i < n; i++)
    for (let a = 0; a < C; a++)
      for (let b = 0; b < C; b++) sums[a * C + b]! += ((rows[i * C + a]! - mean[a]!) * (rows[i * C + b]! - mean[b]!)) / n
  return Float32Array.from(sums)
}

it('draws around 0 without meanResizing, with the initializer_range, the same for one seed', async () => {
  const draw = async (randomState: number) => {
    const { model } = await open('untied-full')
    await model.resizeTokenEmbeddings(VOCAB + 2000, { meanResizing: false, randomState })
    const rows = asF32(model.language.opened.checkpoint.tensors.get('lm_head.weight')!.load('f32', VOCAB))
    await model.dispose()
    return rows
  }
  const rows = await draw(1)
  const mean = rows.reduce((a, b) => a + b, 0) / rows.length
  const std = Math.sqrt(rows.reduce((a, b) => a + b * b, 0) / rows.length)
  // 32,000 draws: the mean within 5 · 0.03 / √32000, the deviation within 5 · 0.03 / √64000
  expect(Math.abs(mean)).toBeLessThan(8.4e-4)
  expect(Math.abs(std - 0.03)).toBeLessThan(6e-4)
  expect([...(await draw(1))]).toEqual([...rows])
  expect([...(await draw(2))]).not.toEqual([...rows])
})

// a merged weight is rounded once more, and products are summed in another order
const CLOSE = 3e-6

describe.each(Object.keys(WAYS))('%s', (name) => {
  it('is saved, opened again, merged with the same log-probabilities', async () => {
    const said = await makeWay(root, name, work)
    const { load } = WAYS[name]!
    for (const folder of load ? [name] : [name, `${name}-merged`]) {
      const { model, tokenizer } = await FastLanguageModel.fromPretrained(join(work, folder), { ...OPTIONS, ...load })
      expect(model.vocabSize).toBe(ROWS)
      expect(tokenizer.encode('<think>', { addSpecialTokens: false })).toEqual([260])
      expect(distance(await logProbabilities(model.language), said)).toBeLessThan(CLOSE)
      if (folder === name) {
        // and saved again
        await model.savePretrained(join(work, `${name}-again`))
        const file = (at: string) => readTensors(join(work, at, 'adapter_model.safetensors'))
        const [first, again] = [file(name), file(`${name}-again`)]
        expect([...again.keys()].sort()).toEqual([...first.keys()].sort())
        for (const [key, values] of first) expect([...again.get(key)!]).toEqual([...values])
      }
      await model.dispose()
    }
  })
})

it('all weights are trained with the new rows, which config.json counts', async () => {
  const { model } = await openExtended(join(root, 'tied-full'), { fullFinetuning: true })
  await train(model, join(work, 'full-run'))
  // trained weights go on as they are
  const trained = model.language.trainables.get('model.layers.0.self_attn.q_proj.weight')
  await model.resizeTokenEmbeddings(ROWS + 8)
  expect([...model.language.trainables.get('model.layers.0.self_attn.q_proj.weight')]).toEqual([...trained])
  const said = await logProbabilities(model.language)
  await model.savePretrained(join(work, 'full'))
  await model.dispose()
  expect(JSON.parse(readFileSync(join(work, 'full/config.json'), 'utf8')).vocab_size).toBe(ROWS + 8)
  const again = await FastLanguageModel.fromPretrained(join(work, 'full'), OPTIONS)
  expect(distance(await logProbabilities(again.model.language), said)).toBeLessThan(CLOSE)
  await again.model.dispose()
})

it('a run goes on from a checkpoint with the same bits, and not over rows drawn otherwise', async () => {
  const run = async (outputDir: string, args: object, randomState?: number) => {
    const { model } = await openExtended(join(root, 'untied-full'))
    if (randomState) {
      await model.resizeTokenEmbeddings(262)
      await model.resizeTokenEmbeddings(ROWS, { randomState })
    }
    const peft = FastLanguageModel.getPeftModel(model, { r: 2, targetModules: ['q_proj'], modulesToSave: ['embed_tokens'] })
    try {
      await train(peft, join(work, outputDir), { saveStrategy: 'steps', saveSteps: 2, ...args })
      return [...peft.language.trainables.get('model.embed_tokens.weight')]
    } finally {
      await model.dispose()
    }
  }
  const straight = await run('straight', { maxSteps: 4, lrSchedulerType: 'constant' })
  await run('parted', { maxSteps: 2, lrSchedulerType: 'constant' })
  await expect(run('parted', { maxSteps: 4, lrSchedulerType: 'constant', resumeFromCheckpoint: true }, 5)).rejects.toThrow(
    /the weights of .* are not those it was trained over/,
  )
  expect(await run('parted', { maxSteps: 4, lrSchedulerType: 'constant', resumeFromCheckpoint: true })).toEqual(straight)
})

it('leaves all as it was where the model of the new size can’t stand', async () => {
  const { model } = await open('tied-full')
  const { language } = model
  const { opened } = language
  const { device, checkpoint } = opened
  const said = await model.generate(['a'], { maxNewTokens: 4, doSample: false })
  const [store, users] = [device.store, opened.users.size]
  device.store = () => {
    throw new Error('no room')
  }
  try {
    await expect(model.resizeTokenEmbeddings(300)).rejects.toThrow('no room')
  } finally {
    device.store = store
  }
  expect([opened.checkpoint, opened.resized, opened.users.size, model.vocabSize]).toEqual([
    checkpoint,
    [],
    users,
    language.opened.model.vocab,
  ])
  expect(await model.generate(['a'], { maxNewTokens: 4, doSample: false })).toEqual(said)
  await model.resizeTokenEmbeddings(300)
  expect(model.vocabSize).toBe(300)
  await model.dispose()
})

it('is refused where something lies over it, and where ids would have no row', async () => {
  const { model, tokenizer } = await open('tied-full')
  await expect(model.resizeTokenEmbeddings(200)).rejects.toThrow(/200 has no row for the tokenizer's ids up to 259/)
  await expect(model.resizeTokenEmbeddings(0)).rejects.toThrow(/size of the vocabulary/)
  const adapted = FastLanguageModel.getPeftModel(model, { r: 2, targetModules: ['q_proj'] })
  await expect(adapted.resizeTokenEmbeddings(300)).rejects.toThrow(/an adapter is over it.*before getPeftModel/)
  await expect(model.resizeTokenEmbeddings(300)).rejects.toThrow(/other models are over the same base/)
  const { size } = tokenizer
  await expect(addNewTokens(model, tokenizer, { newTokens: ['<x>'] })).rejects.toThrow(/other models/)
  await expect(addNewTokens(model, tokenizer, { newTokens: [] })).rejects.toThrow(/newTokens/)
  await expect(addNewTokens(model, tokenizer, { newTokens: ['<x>'], method: 'interpolation' as never })).rejects.toThrow(/interpolation/)
  expect(tokenizer.size).toBe(size)
  await adapted.dispose()
  await model.resizeTokenEmbeddings(300)
  await model.dispose()
  const other = await open('tied-full', { resizeModelVocab: 300 })
  expect(other.model.vocabSize).toBe(300)
  await other.model.dispose()
})
