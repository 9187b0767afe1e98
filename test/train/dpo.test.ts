/** What is a DPO run's own beside its numbers: going on bit for bit, one reference whatever was trained since, options that contradict each other. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import type { TrainEvent } from '../../src/track/events.ts'
import type { DPOTrainer } from '../../src/train/dpo-trainer.ts'
import { sequenceScore } from '../../src/train/objectives/sequences.ts'
import { besideOf } from '../../src/train/reference.ts'
import { REFERENCE_SCORES } from '../../src/train/reference-scores.ts'
import { args, base, eachOnABase, eventsOf, historyOf, root, trainerOf, values } from './dpo-runs.ts'

eachOnABase()

it('goes on bit for bit after a stop, in another process’ place', async () => {
  const whole = await trainerOf('whole')
  await eventsOf(whole.trainer)
  const stopped = await trainerOf('stopped')
  const events = await eventsOf(stopped.trainer, 5)
  expect(events.at(-1)).toMatchObject({ type: 'end', finished: false, step: 5 })
  const resumed = await trainerOf('stopped', { args: { ...args, resumeFromCheckpoint: true } })
  await eventsOf(resumed.trainer)
  expect(values(resumed.language)).toEqual(values(whole.language))
  expect(historyOf('stopped')).toEqual(historyOf('whole'))
})

describe('every row is measured against the reference', () => {
  // with a learning rate of 0 the model stays what it is measured against: ln 2, to rounding of sums of a few hundred logs in f32
  const still = { ...args, learningRate: 0, lrSchedulerType: 'constant' } as const
  const lossesOf = (events: TrainEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))

  it('also where every epoch leaves others out', async () => {
    const { trainer } = await trainerOf('left-out', {
      args: { ...still, dataloaderDropLast: true, perDeviceTrainBatchSize: 3, perDeviceEvalBatchSize: 2, maxSteps: 12, saveStrategy: 'no' },
    })
    const losses = lossesOf(await eventsOf(trainer))
    expect(losses.length).toBe(12)
    for (const loss of losses) expect(loss).toBeCloseTo(Math.LN2, 5)
  })

  it('also where a run goes on in the middle of an epoch', async () => {
    const few = { trainDataset: await loadDataset(join(root, 'few.jsonl')) }
    const own = { ...still, perDeviceTrainBatchSize: 1, maxSteps: 12, saveSteps: 2 }
    await eventsOf((await trainerOf('middle', { ...few, args: own })).trainer, 2)
    const losses = lossesOf(await eventsOf((await trainerOf('middle', { ...few, args: { ...own, resumeFromCheckpoint: true } })).trainer))
    expect(losses.length).toBe(10)
    for (const loss of losses) expect(loss).toBeCloseTo(Math.LN2, 5)
  })

  it('is not measured against a model that was trained since', async () => {
    const first = await trainerOf('since')
    await eventsOf(first.trainer, 3)
    const kept = readFileSync(join(base.work, 'since', REFERENCE_SCORES), 'utf8')
    rmSync(join(base.work, 'since', REFERENCE_SCORES)) // with it nothing is to be scored
    const again = async () => (await trainerOf('since', { args: { ...args, resumeFromCheckpoint: true } }, first.language)).trainer
    const refused = /has been trained since it was opened.*Open the model anew/
    await expect(eventsOf(await again())).rejects.toThrow(refused)
    // nor are the rows that it is evaluated on
    writeFileSync(join(base.work, 'since', REFERENCE_SCORES), kept.split('\n').slice(0, -2).map((line) => `${line}\n`).join('')) // biome-ignore format: short
    await expect(eventsOf(await again())).rejects.toThrow(refused)
    // what was said before it was trained holds
    writeFileSync(join(base.work, 'since', REFERENCE_SCORES), kept)
    expect((await eventsOf(await again())).at(-1)).toMatchObject({ type: 'end', step: 8 })
  })
})

it('is another run with another loss', async () => {
  const first = await trainerOf('other')
  await eventsOf(first.trainer, 3)
  const second = await trainerOf('other', { args: { ...args, beta: 0.3, lossType: ['ipo'], resumeFromCheckpoint: true } })
  await expect(eventsOf(second.trainer)).rejects.toThrow(/beta 0.1 there, 0.3 now.*lossType sigmoid there, ipo now/)
})

it('measures against the model as training began, however often it is asked', async () => {
  const { trainer, language } = await trainerOf('often')
  const start = values(language)
  const before = await trainer.evaluate()
  // exactly: both are scored as they lie
  expect(before['evalRewards/margins']).toBe(0)
  await eventsOf(trainer)
  const after = await trainer.evaluate()
  expect(Math.abs(after['evalRewards/margins']!)).toBeGreaterThan(1e-3)
  // a second run goes on from where the first ended, measured against the same
  const [first] = (await eventsOf(trainer)).filter((event) => event.type === 'log')
  expect(Math.abs(first!.metrics['rewards/margins']!)).toBeGreaterThan(1e-3)
  expect(values(language)).not.toEqual(start)
})

it('measures against a second adapter over the same base', async () => {
  const folder = join(base.work, 'second')
  cpSync(join(root, 'adapter'), folder, { recursive: true })
  const { trainer } = await trainerOf('beside', { refModel: { language: loadAdapter(base.opened, folder) } })
  const { trainer: own } = await trainerOf('alone')
  const against = async (one: DPOTrainer) => (await eventsOf(one)).filter((event) => event.type === 'log').map(({ loss }) => loss)
  expect(await against(trainer)).toEqual(await against(own))
})

describe('a reference on another base', () => {
  let other: CpuDevice
  beforeEach(() => (other = new CpuDevice({ threads: 1 })))
  afterEach(() => other.dispose())
  const another = () => {
    const { checkpoint, choice } = base.opened
    return { language: new LanguageModel(new OpenedModel(other, checkpoint, choice), { kind: 'none' }, 0) }
  }
  const tableOf = (events: TrainEvent[]) => events.flatMap((event) => (event.type === 'start' ? [event.memory] : []))[0]!

  it('stands in the memory table with its weights and passes', async () => {
    const { trainer, language } = await trainerOf('one base')
    const alone = tableOf(await eventsOf(trainer, 1))
    const both = tableOf(await eventsOf((await trainerOf('two bases', { refModel: another() }, language)).trainer, 1))
    const bytes = alone.lines.find(({ kind }) => kind === 'frozen weights')!.bytes
    const [weights, passes] = both.lines.filter(({ kind }) => kind.endsWith('the reference'))
    expect(weights!.bytes / bytes).toBeCloseTo(1, 3) // frozen weights there hold RoPE’s few frequencies, too
    expect(other.resident().arena).toBeGreaterThan(0)
    expect(passes!.bytes).toBeGreaterThanOrEqual(other.resident().arena) // its passes here are shorter
    expect(both.total).toBe(alone.total + weights!.bytes + passes!.bytes)
  })

  it('takes nothing of this device where it lies on another card', () => {
    const on = (place: string) => {
      const device = Object.create(other, { describe: { value: () => ({ ...other.describe(), memory: 2 ** 40, place }) } }) as CpuDevice
      const { checkpoint, choice } = base.opened
      return {
        language: { opened: Object.assign(Object.create(new OpenedModel(device, checkpoint, choice)), { device }) } as LanguageModel,
      }
    }
    const [model, reference] = [on('card 0').language, on('card 1')]
    expect(besideOf(reference, model, sequenceScore)).toBe(null)
    const { language } = another()
    expect(besideOf({ language }, loadAdapter(base.opened, join(root, 'adapter')), sequenceScore)).toMatchObject({
      weights: expect.any(Number),
    })
  })

  it('is refused where the budget holds one of both', async () => {
    const { trainer, language } = await trainerOf('least', { memory: '1KiB' })
    const told = await eventsOf(trainer, 1).catch(String)
    const memory = /Give memory (\S+),/.exec(String(told))![1]!
    await eventsOf((await trainerOf('enough', { memory }, language)).trainer, 1)
    await expect(eventsOf((await trainerOf('short', { memory, refModel: another() }, language)).trainer, 1)).rejects.toThrow(
      /of memory are too little/,
    )
  })
})

it('scores no row that it doesn’t come to', async () => {
  const { trainer } = await trainerOf('short', { evalDataset: null, args: { ...args, maxSteps: 1 } })
  const runs: number[] = []
  const run = base.device.turn.bind(base.device)
  base.device.turn = (work, signal) => {
    runs.push(1)
    return run(work, signal)
  }
  await eventsOf(trainer)
  const short = runs.length
  const { trainer: long } = await trainerOf('longer', { evalDataset: null, args: { ...args, maxSteps: 1, maxPassTokens: 320 } })
  runs.length = 0
  await eventsOf(long)
  // four pairs, in passes that hold one or two: a few turns more for each, not one for each of 22 rows
  expect(runs.length - short).toBeLessThan(8)
})

describe('options that can’t be carried out', () => {
  test.each([
    [{ lossType: ['sigmoid', 'sft'], lossWeights: [1] }, /lossWeights has 1 numbers for 2 losses \(lossType sigmoid sft\)/],
    [{ lossType: ['exo_pair'] }, /exo_pair needs labelSmoothing above 0/],
    [{ lossType: ['robust'], labelSmoothing: 0.5 }, /robust needs less than 0.5/],
    [{ lossType: ['apo_zero'], fDivergenceType: 'forward_kl' }, /fDivergenceType forward_kl has no meaning for lossType apo_zero/],
    [{ lossType: ['aot'], useWeighting: true }, /useWeighting has no meaning for lossType aot/],
    [{ lossType: ['sft'], useWeighting: true }, /useWeighting has no meaning for lossType sft/],
    [{ lossType: ['sigmod'] }, /lossType: expected .*did you mean sigmoid\?/],
    [{ ldAlpha: 1.5 }, /ldAlpha/],
    [{ rpoAlpha: 1 }, /rpoAlpha 1 is refused: it is a loss of its own in TRL 1.16: lossType sigmoid sft/],
    [{ maxPromptLength: 512 }, /maxPromptLength 512 is refused: prompt and answer have one limit in TRL 1.16: maxLength/],
    [{ syncRefModel: true }, /syncRefModel true is refused/],
    [{ disableDropout: false }, /disableDropout false is refused/],
    [{ packing: true }, /unknown option packing/],
  ])('%j', async (wrong, message) => {
    await expect(trainerOf('wrong', { args: wrong as object })).rejects.toThrow(message)
  })

  test('the trained model as its own reference', async () => {
    const language = loadAdapter(base.opened, join(root, 'adapter'))
    await expect(trainerOf('wrong', { refModel: { language } }, language)).rejects.toThrow(
      /refModel is the model that is trained, which changes/,
    )
  })

  test('a pass that holds no pair', async () => {
    const { trainer } = await trainerOf('small', { args: { ...args, maxPassTokens: 118, prefixSharing: false } })
    await expect(eventsOf(trainer)).rejects.toThrow(
      /an example of 2 rows, \d+ tokens, does not fit a pass of 118, and its loss is of them together/,
    )
  })

  test('what belongs to SFT', async () => {
    await expect(trainerOf('wrong', { formattingFunc: () => 'x' } as object)).rejects.toThrow(/formattingFunc.*make these columns with map/)
  })
})

it('trains every weight against those it began with', async () => {
  const { trainer } = await trainerOf('full', {}, new LanguageModel(base.opened, { kind: 'full' }, 0))
  const log = (await eventsOf(trainer)).filter((event) => event.type === 'log')
  expect(log[0]!.loss).toBe(Math.log(2))
  expect(log[0]!.metrics['rewards/accuracies']).toBe(0)
  expect(log.at(-1)!.loss).toBeLessThan(log[0]!.loss)
})
