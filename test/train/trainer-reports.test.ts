/**
 * What people reported of other trainers' steps, tried here by the number of the report: the loss of a step is that of its rows, however many micro-batches it is. All held:
 *
 * huggingface/transformers#38837, #35204, huggingface/trl#2456   a step of fewer micro-batches; one batch of eight rows, and eight of one
 * huggingface/transformers#40691, #22143, modelscope/ms-swift#10050, huggingface/accelerate#2016, EleutherAI/gpt-neox#308   a run that goes on within its third epoch, its accumulation not
 *                                   dividing the epoch, takes the rows that the whole run takes: the same losses and weights, to the bit
 * starVLA/starVLA#210               the learning rate goes by optimizer steps, not micro-batches
 * huggingface/transformers#11769    of checkpoints 9 and 10 the older goes, not the one whose name sorts first
 * unslothai/unsloth-zoo#822         an evaluation that is no number is never the best one, and counts as one that got no better
 * huggingface/trl#1343, #1907       packing with evalPacking false: evaluation has its own rows and its loss
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FastLanguageModel, type PretrainedModel, type SFTConfig, SFTTrainer } from '../../src/index.ts'
import { judged, NO_BEST } from '../../src/train/best.ts'
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

const texts = Array.from({ length: 11 }, (_, i) => `row ${i} ${'abc '.repeat(1 + ((i * 7) % 9))}`)

/** a run up to a step (null: its end), or on from its newest checkpoint: what each step said, and the weights */
async function run(name: string, args: SFTConfig, until: number | null, onward = false) {
  const model = FastLanguageModel.getPeftModel(base, { r: 2 })
  const trainer = new SFTTrainer({
    model,
    trainDataset: texts.map((text) => ({ text })),
    report: 'none',
    args: { learningRate: 1e-2, loggingSteps: 1, saveSteps: 1, numTrainEpochs: 3, perDeviceTrainBatchSize: 2, outputDir: join(work, name), ...args },
  }) // biome-ignore format: a run
  const said: [step: number, loss: number, rate: number][] = []
  for await (const event of trainer.stream(onward ? { resumeFromCheckpoint: true } : {})) {
    if (event.type !== 'log') continue
    said.push([event.step, event.loss, event.learningRate])
    if (event.step === until) break
  }
  const weights = model.language.trainables.names.map((one) => [...model.language.trainables.get(one)])
  await model.dispose()
  return { said, weights }
}

it.each<[string, SFTConfig, number]>([
  ['transformers 40691, ms-swift 10050, accelerate 2016: in the third epoch', { dataSeed: 99 }, 14],
  ['transformers 22143, gpt-neox 308: where steps accumulate over the end of an epoch', { gradientAccumulationSteps: 4 }, 5],
  ['a schedule that has turned', { lrSchedulerType: 'warmup_stable_decay', lrSchedulerKwargs: { num_decay_steps: 5 }, warmupSteps: 4 }, 15],
  ['rows that fill no batch left out', { dataloaderDropLast: true }, 12],
])('%s, a run goes on as it would have', async (name, args, stop) => {
  const whole = await run(`whole ${name}`, args, null)
  await run(`part ${name}`, args, stop)
  const rest = await run(`part ${name}`, args, null, true)
  expect(rest.said).toEqual(whole.said.slice(stop))
  expect(rest.weights).toEqual(whole.weights)
})

it('starVLA 210: four micro-batches a step move the schedule once', async () => {
  const { said } = await run('rates', { gradientAccumulationSteps: 4, saveStrategy: 'no' }, null)
  // two steps an epoch of 6 batches, linear from 1e-2 to 0
  expect(said.map(([, , rate]) => Number(rate.toPrecision(6)))).toEqual([0.01, 0.00833333, 0.00666667, 0.005, 0.00333333, 0.00166667])
})

it('transformers 11769: the oldest checkpoints go, by their steps', async () => {
  await run('limit', { saveTotalLimit: 3 }, 11)
  const kept = readdirSync(join(work, 'limit')).filter((name) => name.startsWith('checkpoint-'))
  expect(kept.sort()).toEqual(['checkpoint-10', 'checkpoint-11', 'checkpoint-9'])
})

it('unsloth-zoo 822: an evaluation that is no number is not the best', () => {
  const options = { metricForBestModel: null, greaterIsBetter: null, loadBestModelAtEnd: true, saveStrategy: 'steps', earlyStoppingPatience: 2, earlyStoppingThreshold: 0 } as const // biome-ignore format: options
  const first = judged(NO_BEST, 1, Number.NaN, options as never)
  expect(first).toMatchObject({ value: null, worse: 1 })
  const then = judged(judged(first, 2, 3, options as never), 3, Number.NaN, options as never)
  expect(then).toMatchObject({ value: 3, step: 2, worse: 1 })
})

it('trl 1343, 1907: evaluation is not packed where only training is', async () => {
  const trainer = new SFTTrainer({
    model: FastLanguageModel.getPeftModel(base, { r: 2 }),
    trainDataset: texts.map((text) => ({ text })),
    evalDataset: texts.slice(0, 3).map((text) => ({ text })),
    report: 'none',
    args: { packing: true, maxLength: 60, evalPacking: false, evalStrategy: 'epoch', numTrainEpochs: 1, saveStrategy: 'no', outputDir: join(work, 'packing') },
  }) // biome-ignore format: a run
  const losses: number[] = []
  for await (const event of trainer.stream()) if (event.type === 'eval') losses.push(event.evalLoss)
  expect(losses).toHaveLength(1)
  expect(losses[0]).toBeGreaterThan(0)
})
