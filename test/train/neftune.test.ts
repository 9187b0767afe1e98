/** NEFTune: noise on the embeddings of training alone, the same however a step is cut. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FastLanguageModel, type PretrainedModel, type SFTConfig, SFTTrainer, type TrainEvent } from '../../src/index.ts'
import { channelBits, tokenKey } from '../../src/ops/dropout/op.ts'
import { noiseOf } from '../../src/ops/noise/op.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

const rows = tinyRows()
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as { text: string })
let work = ''
let base: PretrainedModel
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'saqr-neftune-'))
  await writeTinyModel(join(work, 'model'))
  ;({ model: base } = await FastLanguageModel.fromPretrained(join(work, 'model'), { device: 'cpu', dtype: 'float32', loadIn4bit: false }))
})
afterAll(async () => {
  await base.dispose()
  rmSync(work, { recursive: true })
})

let runs = 0
async function train(args: SFTConfig): Promise<{ losses: number[]; evaluated: number; told: TrainEvent }> {
  const trainer = new SFTTrainer({
    model: FastLanguageModel.getPeftModel(base, { r: 2, randomState: 1 }),
    trainDataset: rows.slice(0, 12),
    evalDataset: rows.slice(12, 16),
    report: 'none',
    args: {
      ...{ perDeviceTrainBatchSize: 4, maxSteps: 3, learningRate: 0, evalOnStart: true, saveStrategy: 'no' },
      ...{ outputDir: join(work, String(runs++)), ...args },
    },
  })
  const losses: number[] = []
  let evaluated = 0
  let told: TrainEvent | undefined
  for await (const event of trainer.stream()) {
    if (event.type === 'start') told = event
    if (event.type === 'eval') evaluated = event.evalLoss
    if (event.type === 'step') losses.push(event.loss)
  }
  return { losses, evaluated, told: told! }
}

describe('noise on embeddings', () => {
  it('is uniform in ±1 before it is made as large as its row asks', () => {
    const n = 2 ** 16
    const drawn = Float64Array.from({ length: n }, (_, i) => noiseOf(channelBits(tokenKey(1, 2, i >> 8, 3, 4), i & 255)))
    const mean = drawn.reduce((a, b) => a + b) / n
    const square = drawn.reduce((a, b) => a + b * b) / n
    // a mean of n has a deviation of √(1/3n), its square's √(4/45n): five of them
    expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(1 / (3 * n)))
    expect(Math.abs(square - 1 / 3)).toBeLessThan(5 * Math.sqrt(4 / (45 * n)))
    expect(Math.max(...drawn)).toBeLessThan(1)
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(-1)
  })

  it('is in training and not in evaluation, and 0 is none', async () => {
    const [none, zero, some] = [await train({}), await train({ neftuneNoiseAlpha: 0 }), await train({ neftuneNoiseAlpha: 5 })]
    expect(zero.losses).toEqual(none.losses)
    expect(some.evaluated).toBe(none.evaluated)
    for (const [i, loss] of some.losses.entries()) expect(Math.abs(loss - none.losses[i]!)).toBeGreaterThan(1e-4)
    expect((await train({ neftuneNoiseAlpha: 5 })).losses).toEqual(some.losses)
    expect((await train({ neftuneNoiseAlpha: 5, seed: 43, dataSeed: 42 })).losses).not.toEqual(some.losses)
  })

  it('is the same however a step is cut, and rows don’t share their beginnings', async () => {
    const [whole, cut] = [await train({ neftuneNoiseAlpha: 15 }), await train({ neftuneNoiseAlpha: 15, maxPassTokens: 80 })]
    // the order of a sum of a hundred f32 numbers
    for (const [i, loss] of cut.losses.entries()) expect(Math.abs(loss - whole.losses[i]!)).toBeLessThan(1e-5)
    expect(whole.told).toMatchObject({ sharing: { off: 'neftune_noise_alpha is 15' } })
  })
})
