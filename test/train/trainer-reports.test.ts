/** What people reported of other trainers' steps, tried here by the number of the report: the loss of a step is that of its rows, however many micro-batches it is. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FastLanguageModel, type PretrainedModel, type SFTConfig, SFTTrainer } from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

let work = ''
let base: PretrainedModel
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'saqr-trainer-reports-'))
  await writeTinyModel(join(work, 'model'))
  ;({ model: base } = await FastLanguageModel.fromPretrained(join(work, 'model'), { device: 'cpu', dtype: 'float32', loadIn4bit: false }))
})
afterAll(async () => {
  await base.dispose()
  rmSync(work, { recursive: true })
})

/** loss and gradient norm of each step */
async function steps(name: string, texts: readonly string[], args: SFTConfig): Promise<[number, number][]> {
  const trainer = new SFTTrainer({
    model: FastLanguageModel.getPeftModel(base, { r: 2 }),
    trainDataset: texts.map((text) => ({ text })),
    report: 'none',
    args: { learningRate: 0, loggingSteps: 1, saveStrategy: 'no', outputDir: join(work, name), ...args },
  })
  const said: [number, number][] = []
  for await (const event of trainer.stream()) if (event.type === 'log') said.push([event.loss, event.gradNorm])
  return said
}

it('transformers 38837: the last step of an epoch, of fewer micro-batches, has the whole loss', async () => {
  // TRL 1.16 on six rows that are one text, four micro-batches a step, a rate of 0: four steps of one loss and one norm
  const same = Array.from({ length: 6 }, () => 'one two three')
  const said = await steps('last', same, { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 4, numTrainEpochs: 2 })
  expect(said).toHaveLength(4)
  const [loss, norm] = said[0]!
  expect(norm).toBeGreaterThan(0)
  // sums of 4 rows' and of 2 rows' terms in f32: some roundings
  for (const [other, otherNorm] of said) {
    expect(Math.abs(other - loss)).toBeLessThanOrEqual(2 ** -20 * loss)
    expect(Math.abs(otherNorm - norm)).toBeLessThanOrEqual(2 ** -18 * norm)
  }
})

it('transformers 35204, trl 2456: one batch of eight rows, and eight of one, are one loss and one gradient', async () => {
  const texts = ['a', 'a b c d e f', 'b c', 'c d e', 'f', 'g h i j k l m n o', 'h', 'i j']
  const [whole, parts] = [
    await steps('whole', texts, { perDeviceTrainBatchSize: 8, numTrainEpochs: 1 }),
    await steps('parts', texts, { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 8, numTrainEpochs: 1 }),
  ]
  expect([whole.length, parts.length]).toEqual([1, 1])
  const [[loss, norm], [other, otherNorm]] = [whole[0]!, parts[0]!]
  expect(Math.abs(other - loss)).toBeLessThanOrEqual(2 ** -20 * loss)
  expect(Math.abs(otherNorm - norm)).toBeLessThanOrEqual(2 ** -18 * norm)
})
