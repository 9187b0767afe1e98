/** What is a DPO run's own beside its numbers: going on bit for bit, one reference whatever was trained since, options that contradict each other. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { PassRunner } from '../../src/engine/runner.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import type { TrainEvent } from '../../src/track/events.ts'
import { preparingLine } from '../../src/track/preparing-line.ts'
import { DPOTrainer } from '../../src/train/dpo-trainer.ts'
import { wholeDigest } from '../../src/train/identity.ts'
import { sequenceScore } from '../../src/train/objectives/sequences.ts'
import type { DPOTrainerInit } from '../../src/train/options/trainer-types.ts'
import { besideOf } from '../../src/train/reference.ts'
import { REFERENCE_SCORES } from '../../src/train/reference-scores.ts'

const root = join(import.meta.dirname, '../fixtures/preference')
const work = mkdtempSync(join(tmpdir(), 'saqr-dpo-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

let device: CpuDevice
let opened: OpenedModel
beforeEach(() => {
  device = new CpuDevice({ threads: 2 })
  opened = new OpenedModel(device, openCheckpoint(join(root, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
})
afterEach(() => device.dispose())

const args = {
  learningRate: 2e-3,
  lrSchedulerType: 'constant',
  perDeviceTrainBatchSize: 4,
  maxSteps: 8,
  saveSteps: 3,
  loggingSteps: 1,
} as const

async function trainerOf(outputDir: string, init: Partial<DPOTrainerInit> = {}, language = loadAdapter(opened, join(root, 'adapter'))) {
  const trainer = new DPOTrainer({
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: await loadDataset(join(root, 'pairs.jsonl')),
    evalDataset: await loadDataset(join(root, 'few.jsonl')),
    ...init,
    args: { ...args, outputDir: join(work, outputDir), ...init.args },
  })
  return { trainer, language }
}

async function eventsOf(trainer: DPOTrainer, stopAfter = Number.POSITIVE_INFINITY): Promise<TrainEvent[]> {
  const stop = new AbortController()
  const events: TrainEvent[] = []
  for await (const event of trainer.stream({ signal: stop.signal })) {
    events.push(event)
    if (event.type === 'step' && event.step === stopAfter) stop.abort()
  }
  return events
}

const values = (language: LanguageModel) => language.trainables.names.map((name) => [name, [...language.trainables.get(name)]])
const historyOf = (folder: string) => JSON.parse(readFileSync(join(work, folder, 'checkpoint-8', 'trainer_state.json'), 'utf8')).log_history

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
    const kept = readFileSync(join(work, 'since', REFERENCE_SCORES), 'utf8')
    rmSync(join(work, 'since', REFERENCE_SCORES)) // with it nothing is to be scored
    const again = async () => (await trainerOf('since', { args: { ...args, resumeFromCheckpoint: true } }, first.language)).trainer
    const refused = /has been trained since it was opened.*Open the model anew/
    await expect(eventsOf(await again())).rejects.toThrow(refused)
    // nor are the rows that it is evaluated on
    writeFileSync(join(work, 'since', REFERENCE_SCORES), kept.split('\n').slice(0, -2).map((line) => `${line}\n`).join('')) // biome-ignore format: short
    await expect(eventsOf(await again())).rejects.toThrow(refused)
    // what was said before it was trained holds
    writeFileSync(join(work, 'since', REFERENCE_SCORES), kept)
    expect((await eventsOf(await again())).at(-1)).toMatchObject({ type: 'end', step: 8 })
  })
})

describe('what the reference said', () => {
  const scored = (events: TrainEvent[]) =>
    events.flatMap((e) => (e.type === 'note' && /scored by the reference/.test(e.message) ? [Number(/^\d+/.exec(e.message)![0])] : []))
  const file = (folder: string) => join(work, folder, REFERENCE_SCORES)
  const resumed = { args: { resumeFromCheckpoint: true } } as const

  /** passes that are run while `work` is, each told before it is */
  async function passes(onPass: (n: number) => void, work: () => Promise<unknown>): Promise<void> {
    const { prototype } = PassRunner
    const { run } = prototype
    let n = 0
    prototype.run = async function (...given) {
      onPass(++n)
      return run.apply(this, given)
    }
    try {
      await work()
    } finally {
      prototype.run = run
    }
  }

  it('is kept, so that a run that goes on scores nothing anew and has the same bits', async () => {
    const whole = await trainerOf('kept-whole')
    const [rows] = scored(await eventsOf(whole.trainer))
    const first = await trainerOf('kept')
    expect(scored(await eventsOf(first.trainer, 4))).toEqual([rows])
    const { trainer, language } = await trainerOf('kept', resumed)
    let notes: TrainEvent[] = []
    await passes(
      () => expect.unreachable('a pass of scoring or evaluation'),
      async () => (notes = await eventsOf(trainer)),
    )
    expect(notes.filter((e) => e.type === 'note' && e.message === `${rows} rows were scored by the reference before: taken from ${file('kept')}`)).toHaveLength(1) // biome-ignore format: short
    expect(values(language)).toEqual(values(whole.language))
  })

  it('is kept of a run that is stopped while it is asked, which leaves the model as it was', async () => {
    const whole = await trainerOf('kept-whole-2')
    const [rows] = scored(await eventsOf(whole.trainer))
    const { trainer, language } = await trainerOf('stopped-early')
    const start = values(language)
    const stop = new AbortController()
    let seen = 0
    await passes(
      (n) => {
        seen = n
        if (n === 4) stop.abort(new DOMException('enough', 'AbortError'))
      },
      () => expect(trainer.train({ signal: stop.signal })).rejects.toThrow('enough'),
    )
    expect(seen).toBe(4)
    expect(values(language)).toEqual(start)
    // in another process' place: the folder is free, the rest is scored, and the run is the one that nobody stopped
    const again = await trainerOf('stopped-early')
    const [taken, rest] = scored(await eventsOf(again.trainer))
    expect(taken).toBeGreaterThan(0)
    expect(taken! + rest!).toBe(rows)
    expect(values(again.language)).toEqual(values(whole.language))
    expect(historyOf('stopped-early')).toEqual(historyOf('kept-whole-2'))
  })

  it('is left out where a line is damaged or torn, and the rest is scored anew', async () => {
    const whole = await trainerOf('damaged')
    const [rows] = scored(await eventsOf(whole.trainer))
    const text = readFileSync(file('damaged'), 'utf8')
    expect(text.split('\n').length).toBeGreaterThanOrEqual(3) // trained on, and evaluated
    const again = async (damaged: string) => {
      writeFileSync(file('damaged'), damaged)
      const one = await trainerOf('damaged')
      const found = scored(await eventsOf(one.trainer))
      expect(values(one.language)).toEqual(values(whole.language))
      return found
    }
    // as many lines as scoring takes seconds, and one of the evaluation's rows
    const [first, ...others] = text.trimEnd().split('\n')
    const rest = others.join('\n')
    const { rows: ofFirst } = JSON.parse(first!) as { rows: number[] }
    const wrong = first!.replace(/"numbers":\[-(\d)/, (_, digit) => `"numbers":[-${(Number(digit) + 1) % 10}`)
    expect(wrong).not.toBe(first)
    expect(await again(`${wrong}\n${rest}\n`)).toEqual([rows! - ofFirst.length, ofFirst.length])
    // what is damaged went, and all is there again
    expect(await again(readFileSync(file('damaged'), 'utf8'))).toEqual([rows])
    expect(await again(`${rest}\n${first!.slice(0, 200)}`)).toEqual([rows! - ofFirst.length, ofFirst.length])
    expect(await again(text.slice(0, -1))).toEqual([rows])
    expect(await again('null\n[]\n\u0000{"rows":\n')).toEqual([rows])
  })

  it('is scored anew where the reference is another, or rows lie otherwise', async () => {
    const second = loadAdapter(opened, join(root, 'adapter'))
    const first = second.trainables.get(second.trainables.names[0]!)
    second.trainables.set(second.trainables.names[0]!, first.map((x) => x + 0.01)) // biome-ignore format: short
    const notes = async (folder: string, init: Partial<DPOTrainerInit> = {}) =>
      scored(await eventsOf((await trainerOf(folder, init)).trainer))
    const [rows] = await notes('another')
    expect(await notes('another')).toEqual([rows])
    rmSync(file('another'))
    expect(await notes('another', { refModel: { language: second } })).toEqual([rows])
    expect(await notes('another', { refModel: { language: second } })).toEqual([rows])
    const kept = readFileSync(file('another'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as { key: string; rows: number[] }) // biome-ignore format: short
    expect(new Set(kept.map(({ key }) => key)).size).toBe(2) // trained on, and evaluated
    expect(kept.flatMap(({ rows }) => rows)).toHaveLength(rows!)
    const taken = async (args: object) => (await notes('another', { refModel: { language: second }, args })).length === 2
    // the evaluation's rows lie as they did
    expect(await taken({ seed: 7 })).toBe(false)
    // a model that was trained since is another reference
    const { trainer, language } = await trainerOf('trained-since')
    await eventsOf(trainer)
    const events = await eventsOf((await trainerOf('trained-since', {}, language)).trainer)
    expect(events.some((e) => e.type === 'note' && /before: taken/.test(e.message))).toBe(false)
  })

  describe('is scored anew by what differs where nobody looks', () => {
    // an identity looks at the first and the last row of a tensor, and at two between
    const hidden = 1
    const losses = (events: TrainEvent[]) => events.flatMap((e) => (e.type === 'step' ? [e.loss] : []))
    const took = (events: TrainEvent[]) => events.some((e) => e.type === 'note' && /before: taken/.test(e.message))

    it('in the base', async () => {
      await eventsOf((await trainerOf('looks-alike')).trainer)
      const model = join(work, 'looks-alike-model')
      cpSync(join(root, 'model'), model, { recursive: true })
      const { source, rows: vocab, cols, dtype } = opened.checkpoint.tensors.get('model.embed_tokens.weight')!
      const bytes = readFileSync(join(model, 'model.safetensors'))
      const width = dtype === 'f32' ? 4 : 2
      const looked = [0, 1 / 3, 2 / 3, 1].map((share) => Math.floor(share * (vocab - 1)))
      const others = Array.from({ length: vocab }, (_, row) => row).filter((row) => !looked.includes(row))
      const rowOf = (row: number) => bytes.subarray(source!.offset + row * cols * width, source!.offset + (row + 1) * cols * width)
      // each among those takes the one's place before it
      const turned = others.map((row) => Buffer.from(rowOf(row)))
      for (const [i, row] of others.entries()) rowOf(row).set(turned[(i + 1) % turned.length]!)
      writeFileSync(join(model, 'model.safetensors'), bytes)
      const own = new CpuDevice({ threads: 2 })
      const over = new OpenedModel(own, openCheckpoint(model), opened.choice)
      const run = async (folder: string) => eventsOf((await trainerOf(folder, {}, loadAdapter(over, join(root, 'adapter')))).trainer)
      const again = await run('looks-alike')
      expect(took(again)).toBe(false)
      expect(losses(again)).toEqual(losses(await run('looks-alike-2')))
      own.dispose()
    })

    it('in a second adapter', async () => {
      const second = () => loadAdapter(opened, join(root, 'adapter'))
      const other = second()
      const name = other.trainables.names.find((name) => other.trainables.shape(name).rows > 8)!
      const values = other.trainables.get(name).slice()
      values[hidden * other.trainables.shape(name).cols]! += 0.5
      other.trainables.set(name, values)
      const run = async (language: LanguageModel) => took(await eventsOf((await trainerOf('adapters-alike', { refModel: { language } })).trainer)) // biome-ignore format: short
      expect(await run(second())).toBe(false)
      expect(await run(second())).toBe(true)
      expect(await run(other)).toBe(false)
      expect(await run(other)).toBe(true)
    })

    it('in what it is computed on', async () => {
      const run = async () => took(await eventsOf((await trainerOf('devices-alike')).trainer))
      expect([await run(), await run()]).toEqual([false, true])
      const described = device.describe()
      const spy = vi.spyOn(device, 'describe').mockReturnValue({ ...described, label: `${described.label}, another` })
      expect([await run(), await run()]).toEqual([false, true])
      spy.mockRestore()
    })

    it('in the code that computes it', async () => {
      const [one, same, other] = await Promise.all(
        [undefined, undefined, 'another'].map((code) => wholeDigest(loadAdapter(opened, join(root, 'adapter')), undefined, code)),
      )
      expect(same).toBe(one)
      expect(other).not.toBe(one)
    })
  })

  it('is kept in each folder of runs that go on with one another', async () => {
    const [rows] = scored(await eventsOf((await trainerOf('chain-1')).trainer, 4))
    const goOn = async (folder: string, from: string) => {
      const { trainer } = await trainerOf(folder, { args: { ...resumed.args, resumeFromCheckpoint: join(work, from) } })
      return (await eventsOf(trainer)).flatMap((e) => (e.type === 'note' && /by the reference/.test(e.message) ? [e.message] : []))
    }
    const taken = (from: string) => [`${rows} rows were scored by the reference before: taken from ${file(from)}`]
    // what stands there of another run hides nothing
    mkdirSync(join(work, 'chain-2'))
    writeFileSync(file('chain-2'), 'of another\n')
    expect(await goOn('chain-2', 'chain-1/checkpoint-3')).toEqual(taken('chain-1'))
    expect(await goOn('chain-3', 'chain-2/checkpoint-6')).toEqual(taken('chain-2'))
    for (const folder of ['chain-2', 'chain-3']) expect(readFileSync(file(folder), 'utf8')).toBe(readFileSync(file('chain-1'), 'utf8'))
  })

  it.each([
    ['was written to', (path: string) => utimesSync(path, 0, 0), /model\.safetensors was written to or replaced since it was opened/],
    ['is there no more', (path: string) => rmSync(path), /model\.safetensors/],
  ])('is not kept, and not taken, where the base %s since it was opened', async (name, change, why) => {
    const whole = await trainerOf('kept-whole-4')
    await eventsOf(whole.trainer)
    const model = join(work, `${name} base`)
    cpSync(join(root, 'model'), model, { recursive: true })
    const own = new CpuDevice({ threads: 2 })
    const over = loadAdapter(new OpenedModel(own, openCheckpoint(model), opened.choice), join(root, 'adapter'))
    mkdirSync(join(work, name))
    cpSync(file('kept-whole-4'), file(name)) // what stands there stays as it is
    change(join(model, 'model.safetensors'))
    const { trainer } = await trainerOf(name, {}, over)
    const events = await eventsOf(trainer)
    const told = events.flatMap((e) => (e.type === 'warning' ? [e.message] : []))
    expect(told).toContainEqual(expect.stringMatching(new RegExp(`scores are not kept.*${why.source}`)))
    expect(told).toContainEqual(expect.stringMatching(/doesn’t say which weights/)) // as of any other run
    expect(events.some((e) => e.type === 'note' && /before: taken/.test(e.message))).toBe(false)
    expect(values(over)).toEqual(values(whole.language))
    expect(readFileSync(file(name), 'utf8')).toBe(readFileSync(file('kept-whole-4'), 'utf8'))
    own.dispose()
  })

  it('costs no run where it can’t be written', async () => {
    const whole = await trainerOf('kept-whole-3')
    await eventsOf(whole.trainer)
    mkdirSync(file('unwritable'), { recursive: true })
    const { trainer, language } = await trainerOf('unwritable')
    const told = (await eventsOf(trainer)).find((e) => e.type === 'warning')
    expect(told).toMatchObject({ message: expect.stringMatching(/scores are not kept.*reference_scores.jsonl is a folder/) })
    expect(values(language)).toEqual(values(whole.language))
  })

  it('is told in a line that says how far it is', () => {
    const drawn: string[] = []
    let clock = 0
    const line = preparingLine({ isTTY: true, write: (text) => drawn.push(text) }, () => ++clock)
    for (const done of [4, 8]) line({ doing: 'scoring by the reference:', source: 'm', done, total: 12 })
    expect(drawn.at(-1)).toContain('scoring by the reference: m: 8 of 12 rows')
    line({ source: 'm', done: 12, total: 12 })
    expect(drawn.at(-1)).not.toContain('rows')
  })

  it('is asked of the rows of the first steps alone where a run is only begun', async () => {
    const { trainer } = await trainerOf('begun', { evalDataset: null })
    const events: TrainEvent[] = []
    for await (const event of trainer.firstSteps(2)) events.push(event)
    expect(scored(events)).toEqual([8])
    expect(events.filter((e) => e.type === 'step')).toHaveLength(2)
    expect(events.at(-1)).toMatchObject({ type: 'end', step: 2, finished: true })
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
  const folder = join(work, 'second')
  cpSync(join(root, 'adapter'), folder, { recursive: true })
  const { trainer } = await trainerOf('beside', { refModel: { language: loadAdapter(opened, folder) } })
  const { trainer: own } = await trainerOf('alone')
  const against = async (one: DPOTrainer) => (await eventsOf(one)).filter((event) => event.type === 'log').map(({ loss }) => loss)
  expect(await against(trainer)).toEqual(await against(own))
})

describe('a reference on another base', () => {
  let other: CpuDevice
  beforeEach(() => (other = new CpuDevice({ threads: 1 })))
  afterEach(() => other.dispose())
  const another = () => {
    const { checkpoint, choice } = opened
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
      const { checkpoint, choice } = opened
      return {
        language: { opened: Object.assign(Object.create(new OpenedModel(device, checkpoint, choice)), { device }) } as LanguageModel,
      }
    }
    const [model, reference] = [on('card 0').language, on('card 1')]
    expect(besideOf(reference, model, sequenceScore)).toBe(null)
    const { language } = another()
    expect(besideOf({ language }, loadAdapter(opened, join(root, 'adapter')), sequenceScore)).toMatchObject({ weights: expect.any(Number) })
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
  const run = device.turn.bind(device)
  device.turn = (work, signal) => {
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
    const language = loadAdapter(opened, join(root, 'adapter'))
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
  const { trainer } = await trainerOf('full', {}, new LanguageModel(opened, { kind: 'full' }, 0))
  const log = (await eventsOf(trainer)).filter((event) => event.type === 'log')
  expect(log[0]!.loss).toBe(Math.log(2))
  expect(log[0]!.metrics['rewards/accuracies']).toBe(0)
  expect(log.at(-1)!.loss).toBeLessThan(log[0]!.loss)
})
