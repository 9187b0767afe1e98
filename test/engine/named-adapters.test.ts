/** Several adapters over one base: the active one answers, is trained and merged; the others stay as they are. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { FastLanguageModel, type PretrainedModel, SFTTrainer } from '../../src/index.ts'
import { distance, readTensors } from '../parity/family-case.ts'
import { logProbabilities, makeTwo, OPTIONS, ROW, train } from './extended-models.ts'

const root = join(import.meta.dirname, '../fixtures/extended')
const work = mkdtempSync(join(tmpdir(), 'saqr-named-'))
afterAll(() => rmSync(work, { recursive: true }))

const said = await makeTwo(root, work, join(work, 'two'))
const [first, other] = [said.subarray(0, ROW.length - 1), said.subarray(ROW.length - 1)]
const open = async (folder: string) => (await FastLanguageModel.fromPretrained(join(work, folder), OPTIONS)).model
const logp = (model: PretrainedModel) => logProbabilities(model.language)
const values = (model: PretrainedModel) => model.language.trainables.names.map((name) => [...model.language.trainables.get(name)])

async function answer(model: PretrainedModel): Promise<string> {
  let text = ''
  for await (const piece of model.generate('a <think>', { chat: false, maxNewTokens: 6, temperature: 0 })) text += piece
  return text
}

it('are saved in a folder each, the first in the folder itself', async () => {
  expect(readdirSync(join(work, 'two')).sort()).toEqual(
    expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors', 'other']),
  )
  for (const [folder, expected] of [
    ['two', first],
    ['two/other', other],
  ] as const) {
    const model = await open(folder)
    expect(distance(await logp(model), expected)).toBeLessThan(1e-7)
    await model.dispose()
  }
  expect(distance(first, other)).toBeGreaterThan(1e-4)
})

it('do nothing unless active, and answer, train and merge where they are', async () => {
  const model = await open('two')
  await model.loadAdapter(join(work, 'two/other'), 'second')
  expect(model.adapterNames).toEqual(['default', 'second'])
  expect(model.activeAdapter).toBe('default')
  expect([...(await logp(model))]).toEqual([...first])
  const asked = await answer(model)
  const before = values(model)

  model.setAdapter('second')
  expect(model.activeAdapter).toBe('second')
  expect([...(await logp(model))]).toEqual([...other])
  await answer(model)
  const merged = join(work, 'merged')
  await model.savePretrainedMerged(merged)
  // what is trained is the active one, with the bits of a run of it alone
  await train(model, join(work, 'run'))
  const trained = values(model)
  model.setAdapter('default')
  expect(values(model)).toEqual(before)
  expect(await answer(model)).toBe(asked)
  await model.savePretrained(join(work, 'chosen'), { selectedAdapters: ['second'] })
  expect(readdirSync(join(work, 'chosen'))).toEqual(['second'])
  await model.dispose()

  const alone = await open('two/other')
  await train(alone, join(work, 'alone'))
  expect(values(alone)).toEqual(trained)
  await alone.dispose()
  expect([...readTensors(join(work, 'chosen/second/adapter_model.safetensors')).keys()]).toEqual([
    ...readTensors(join(work, 'two/other/adapter_model.safetensors')).keys(),
  ])
  const again = await FastLanguageModel.fromPretrained(merged, OPTIONS)
  // a merged weight is rounded once more
  expect(distance(await logp(again.model), other)).toBeLessThan(3e-6)
  await again.model.dispose()
})

it('count in the memory of a run that trains one', async () => {
  const table = async (others: number) => {
    const model = await open('two')
    for (let i = 0; i < others; i++) await model.loadAdapter(join(work, 'two/other'), `other${i}`)
    const trainer = new SFTTrainer({
      model,
      trainDataset: [{ text: 'a b' }],
      args: { outputDir: join(work, `memory${others}`), maxSteps: 1 },
      report: [],
    })
    for await (const event of trainer.stream()) {
      if (event.type !== 'start') continue
      await model.dispose()
      return event.memory
    }
    throw new Error('no start')
  }
  const [alone, beside] = [await table(0), await table(2)]
  const line = beside.lines.find(({ kind }) => kind === 'other models over the base')!
  expect(alone.lines.some(({ kind }) => kind === 'other models over the base')).toBe(false)
  // both adapters' A and B of two modules in two blocks, r 4, from 256 elements on, and their gradients
  expect(line.bytes).toBe(2 * 8 * 2 * 4 * 256)
  expect(beside.total - alone.total).toBe(line.bytes)
})

it('are deleted, the active one too, and what is wrong is told', async () => {
  const model = await open('two')
  const load = (folder: string, name: string) => model.loadAdapter(join(work, folder), name)
  await expect(load('two/other', 'default')).rejects.toThrow(/"default" already/)
  await expect(load('two/other', '../x')).rejects.toThrow(/name is that of the folder/)
  await expect(load('nowhere', 'x')).rejects.toThrow(/no adapter_config.json/)
  await expect(load('../../../etc', 'x')).rejects.toThrow(/no adapter_config.json/)
  expect(() => model.setAdapter('defautl')).toThrow(/did you mean default/)
  await expect(model.deleteAdapter('default')).rejects.toThrow(/only adapter/)
  await load('two/other', 'second')
  model.setAdapter('second')
  await model.deleteAdapter('second')
  expect(model.activeAdapter).toBe('default')
  expect([...(await logp(model))]).toEqual([...first])
  await expect(model.savePretrained(join(work, 'none'), { selectedAdapters: ['second'] })).rejects.toThrow(/no adapter "second"/)
  await expect(model.savePretrained(join(work, 'none'), { selectedAdapters: [] })).rejects.toThrow(/names no adapter/)
  // of a base without these rows
  const base = await FastLanguageModel.fromPretrained(join(root, 'untied-full'), OPTIONS)
  await expect(base.model.loadAdapter(join(work, 'two'), 'x')).rejects.toThrow(/for a model with an adapter/)
  const peft = FastLanguageModel.getPeftModel(base.model, { r: 2, targetModules: ['q_proj'] })
  await expect(peft.loadAdapter(join(work, 'two'), 'x')).rejects.toThrow(/other values than this base/)
  expect(peft.adapterNames).toEqual(['default'])
  await base.model.dispose()
  await model.dispose()
  expect(() => model.setAdapter('default')).toThrow(/disposed/)
})
