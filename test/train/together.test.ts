/** Runs beside one another and after one another: on one model, in one folder, and what is told of them. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import type { TrainEvent } from '../../src/track/events.ts'
import { BaseWeights } from '../../src/train/base-weights.ts'
import type { SFTConfig } from '../../src/train/options/sft.ts'
import { SFTTrainer, type SFTTrainerInit } from '../../src/train/sft-trainer.ts'

const folder = join(import.meta.dirname, '../fixtures/training/evaluation')
const work = mkdtempSync(join(tmpdir(), 'saqr-together-'))
const device = new CpuDevice({ threads: 1 })
afterAll(() => {
  device.dispose()
  rmSync(work, { recursive: true })
})
const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
const model = () => loadAdapter(opened, join(folder, 'adapter'))
const rows = await loadDataset(join(folder, 'train.jsonl'))
const evalRows = await loadDataset(join(folder, 'eval.jsonl'))

function trainer(name: string, args: SFTConfig = {}, init: Partial<SFTTrainerInit> & { language?: LanguageModel } = {}) {
  const { language = model(), ...rest } = init
  return new SFTTrainer({
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: rows,
    args: {
      maxSteps: 4,
      perDeviceTrainBatchSize: 4,
      learningRate: 1e-3,
      loggingSteps: 1,
      saveStrategy: 'no',
      outputDir: join(work, name),
      ...args,
    },
    ...rest,
  })
}

async function all(events: AsyncIterable<TrainEvent>): Promise<TrainEvent[]> {
  const list: TrainEvent[] = []
  for await (const event of events) list.push(event)
  return list
}
const warnings = (events: readonly TrainEvent[]) => events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))

describe('two trainers on one model', () => {
  it('work one after the other, also in one folder', async () => {
    const language = model()
    const order: string[] = []
    const run = async (name: string) => {
      for await (const { type } of trainer('turns', {}, { language }).stream())
        if (type === 'start' || type === 'end') order.push(name + type)
    }
    await Promise.all([run('a '), run('b '), run('c ')])
    expect(order).toEqual(['a start', 'a end', 'b start', 'b end', 'c start', 'c end'])
  })

  it('and an evaluation goes while the reader of a run holds an event, and waits where it goes on', async () => {
    const language = model()
    const run = trainer('asked', { maxSteps: 3, evalStrategy: 'steps', evalSteps: 1 }, { language, evalDataset: evalRows })
    const within: number[] = []
    const own: number[] = []
    let beside: Promise<unknown> | undefined
    for await (const event of run.stream()) {
      if (event.type === 'eval') own.push(event.evalLoss)
      if (event.type === 'eval') within.push((await run.evaluate()).evalLoss)
      if (event.type === 'start') beside = run.evaluate()
    }
    expect(within.length).toBe(3)
    // an evaluation of its own is cut into passes of its own: f32 sums of the same numbers in another order
    for (const [i, loss] of within.entries()) expect(Math.abs(loss - own[i]!)).toBeLessThan(1e-6 * own[i]!)
    expect(await beside).toMatchObject({ evalLoss: expect.any(Number) })
    expect((await run.evaluate()).evalLoss).toBe(within.at(-1))
  })

  it('and the second, aborted while it waits, changes nothing', async () => {
    const language = model()
    const first = trainer('first', {}, { language }).stream()
    await first.next()
    const stop = new AbortController()
    const second = trainer('second', {}, { language }).train({ signal: stop.signal })
    stop.abort(new Error('no patience'))
    await expect(second).rejects.toThrow('no patience')
    expect(existsSync(join(work, 'second'))).toBe(false)
    await all(first)
    expect((await trainer('third', {}, { language }).train()).finished).toBe(true)
  })
})

describe('two runs in one folder', () => {
  it('are refused while the first lives', async () => {
    const first = trainer('folder').stream()
    await first.next()
    await expect(trainer('folder').train()).rejects.toThrow(/folder is in use by a run of this process/)
    await first.return(undefined)
    expect(readdirSync(join(work, 'folder'))).toEqual([])
    expect((await trainer('folder').train()).finished).toBe(true)
  })

  it('don’t take each other’s checkpoints for their own', async () => {
    await trainer('mixed', { maxSteps: 6, saveStrategy: 'steps', saveSteps: 6 }).train()
    const stop = new AbortController()
    const later = trainer('mixed', { seed: 1, maxSteps: 6, saveStrategy: 'steps', saveSteps: 1, saveTotalLimit: 1 })
    let stopped: string | null = null
    for await (const event of later.stream({ signal: stop.signal })) {
      if (event.type === 'step' && event.step === 3) stop.abort()
      if (event.type === 'end') stopped = event.stopped
    }
    // the other run's is further on, stays, and is not what one would go on with
    expect(stopped).toBe(join(work, 'mixed', 'checkpoint-3'))
    expect(readdirSync(join(work, 'mixed')).sort()).toEqual(['checkpoint-3', 'checkpoint-6'])
  })
})

describe('a run that is stopped before its first step', () => {
  it('is not finished, and has no checkpoint', async () => {
    const stop = new AbortController()
    const events: TrainEvent[] = []
    for await (const event of trainer('early').stream({ signal: stop.signal })) {
      events.push(event)
      if (event.type === 'start') stop.abort()
    }
    expect(events.at(-1)).toMatchObject({ type: 'end', step: 0, finished: false, stopped: null })
  })
})

describe('a checkpoint of another run', () => {
  const save = async (name: string, args: SFTConfig = {}) => {
    await trainer(name, { maxSteps: 2, saveStrategy: 'steps', saveSteps: 2, ...args }).train()
    return { maxSteps: 4, saveStrategy: 'steps', saveSteps: 2, resumeFromCheckpoint: true, ...args } as SFTConfig
  }

  it.each([
    ['other rows', { trainDataset: rows.slice(1) }, {}, /examples 46 there, 45 now; other rows/],
    ['rows in another order', { trainDataset: new Dataset([...rows.rows].reverse()) }, {}, /is of another run: other rows\./],
    ['another length', {}, { maxLength: 12 }, /other rows/],
    ['another optimizer', {}, { optim: 'adamw_8bit' }, /optimizerStates \(optim\) 32 bits there, 8 bits now/],
    ['another batch', {}, { perDeviceTrainBatchSize: 1 }, /perDeviceTrainBatchSize \d+ there, 1 now/],
    ['other micro-batches', {}, { gradientAccumulationSteps: 3 }, /gradientAccumulationSteps \d+ there, 3 now/],
    ['drop_last', {}, { dataloaderDropLast: true }, /dataloaderDropLast false there, true now/],
  ] as const)('%s is refused by name', async (name, init, args, message) => {
    const resume = await save(name)
    await expect(trainer(name, { ...resume, ...args }, init).train()).rejects.toThrow(message)
  })

  it('another adapter, or another model of the same shape, is refused by name', async () => {
    const resume = await save('adapter')
    const language = model()
    Object.assign(language.adapter.config!, { loraAlpha: 5 })
    await expect(trainer('adapter', resume, { language }).train()).rejects.toThrow(/adapter loraAlpha 8 there, 5 now/)
    const other = new CpuDevice({ threads: 1 })
    const base = new OpenedModel(other, openCheckpoint(join(folder, '../linear-warmup/model')), opened.choice)
    const moved = loadAdapter(base, join(folder, '../linear-warmup/adapter'))
    await expect(trainer('adapter', resume, { language: moved }).train()).rejects.toThrow(
      /is of another run: the weights of .* are not those it was trained over/,
    )
    other.dispose()
  })

  it('options that may change on the way are told', async () => {
    const resume = await save('changed')
    const events = await all(trainer('changed', { ...resume, learningRate: 5e-4, lrSchedulerType: 'cosine', warmupSteps: 1 }).stream())
    expect(warnings(events)).toEqual([
      expect.stringMatching(
        /checkpoint-2 was saved with other options, and the run goes on with these: steps \(maxSteps, numTrainEpochs\) 2 there, 4 now; learningRate 0\.001 there, 0\.0005 now; lrSchedulerType linear there, cosine now; warmupSteps 0 there, 1 now$/,
      ),
    ])
  })

  it('that has nothing left to do says so', async () => {
    const resume = await save('done')
    const events = await all(trainer('done', { ...resume, maxSteps: 2 }).stream())
    expect(warnings(events)).toEqual([
      expect.stringMatching(/checkpoint-2 has done 2 of 2 steps: nothing is left to train\. Raise maxSteps or numTrainEpochs to go on$/),
    ])
    expect(events.at(-1)).toMatchObject({ type: 'end', step: 2, finished: true })
  })

  it('a schedule of another kind begins anew', async () => {
    const args: SFTConfig = { evalStrategy: 'steps', evalSteps: 1, maxSteps: 4, saveStrategy: 'steps', saveSteps: 2 }
    const greedy: SFTConfig = { lrSchedulerType: 'greedy', lrSchedulerKwargs: { patience: 0, min_lr: 0, factor: 0.5 } }
    await trainer('kinds', { ...args, ...greedy, maxSteps: 2 }, { evalDataset: evalRows }).train()
    const plateau: SFTConfig = { lrSchedulerType: 'reduce_lr_on_plateau', resumeFromCheckpoint: true }
    const events = await all(trainer('kinds', { ...args, ...plateau }, { evalDataset: evalRows }).stream())
    expect(events.flatMap((event) => (event.type === 'log' ? [event.learningRate] : []))).toEqual([1e-3, 1e-3])
  })

  it('a resumed run of the same options is told nothing, and goes on with what was logged and remembered', async () => {
    const args: SFTConfig = {
      maxSteps: 8,
      loggingSteps: 3,
      saveStrategy: 'steps',
      saveSteps: 4,
      evalStrategy: 'steps',
      evalSteps: 1,
      lrSchedulerType: 'greedy',
      lrSchedulerKwargs: { patience: 1, min_lr: 1e-6, threshold: 0.01, smooth: true, window_size: 3 },
    }
    const history = (name: string) => JSON.parse(readFileSync(join(work, name, 'checkpoint-8', 'trainer_state.json'), 'utf8')).log_history
    const timeless = (list: Record<string, number>[]) =>
      list.map((entry) => Object.fromEntries(Object.entries(entry).filter(([key]) => !/runtime|per_second/.test(key))))
    await trainer('whole', args, { evalDataset: evalRows }).train()
    const resume = { ...args, resumeFromCheckpoint: join(work, 'whole', 'checkpoint-4') }
    const events = await all(trainer('parts', resume, { evalDataset: evalRows }).stream())
    expect(warnings(events)).toEqual([])
    const [start] = events
    expect(start?.type === 'start' && [start.doneSteps, start.history.length]).toEqual([4, 5])
    expect(timeless(history('parts'))).toEqual(timeless(history('whole')))
  })
})

describe('what a program’s run shows', () => {
  const shown = () => {
    let text = ''
    return { isTTY: false, columns: 100, write: (more: string) => void (text += more), text: () => text }
  }

  it('goes to its trackers, and to events.jsonl where that is asked for', async () => {
    const types: string[] = []
    const keep = { start: () => types.push('start'), log: (e: TrainEvent) => types.push(e.type), end: () => types.push('end') }
    await trainer('report', { reportTo: 'jsonl', maxSteps: 2 }, { report: [keep] }).train()
    const lines = readFileSync(join(work, 'report', 'events.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
    expect(types).toEqual(['start', 'note', 'step', 'log', 'step', 'log', 'end'])
    expect(lines.map((line) => JSON.parse(line).type)).toEqual(types)
  })

  it('is the terminal’s where it is asked for, on standard error', async () => {
    const out = shown()
    const write = process.stderr.write
    process.stderr.write = ((text: string) => {
      out.write(text)
      return true
    }) as typeof write
    try {
      await trainer('silent', { maxSteps: 2 }, { report: 'none' }).train()
      expect(out.text()).toBe('')
      await trainer('loud', { maxSteps: 2 }, { report: 'terminal' }).train()
    } finally {
      process.stderr.write = write
    }
    expect(out.text()).toMatch(/memory +at most +at peak[\s\S]*step 2\/2 {2}epoch 0\.17 {2}loss \d[\s\S]*2 steps in .*mean loss/)
  })

  it.each([
    [{ evalStrategy: 'steps' }, {}, /^evalStrategy steps needs rows to evaluate on: give evalDataset$/],
    [{ evalOnStart: true }, {}, /^evalOnStart needs rows to evaluate on/],
    [{}, { report: 'Terminal' }, /^report: expected terminal, none or a list of trackers, not 'Terminal'$/],
    [{ lrSchedulerType: 'reduce_lr_on_plateau' }, {}, /follows the evaluation rows: set evalStrategy/],
    [{ lrSchedulerKwargs: { num_cycles: 3 } }, {}, /lrSchedulerKwargs has num_cycles, which linear does not know/],
  ] as const)('%o %o is an error at the start', (args, init, message) => {
    expect(() => trainer('wrong', args as SFTConfig, init as never)).toThrow(message)
  })

  it('a metric that evaluation doesn’t have, and evaluation rows that make no batch, are named before the first step', async () => {
    const args: SFTConfig = { evalStrategy: 'steps', lrSchedulerType: 'greedy', lrSchedulerKwargs: { min_lr: 0 } }
    const init = { evalDataset: evalRows }
    expect(() => trainer('metric', { ...args, metricForBestModel: 'accuracy' }, init)).toThrow(
      /^metricForBestModel accuracy: evaluation has loss, entropy, mean_token_accuracy/,
    )
    await expect(trainer('few', { ...args, dataloaderDropLast: true, perDeviceEvalBatchSize: 16 }, init).train()).rejects.toThrow(
      /^10 evaluation rows do not fill one batch of 16/,
    )
  })

  it('warns of a column that would change what is learned, and only notes others', async () => {
    const told = new Dataset(
      rows.rows.map((row) => ({ ...row, label: true, id: 1 })),
      'rows.jsonl',
    )
    const events = await all(trainer('label', { maxSteps: 1 }, { trainDataset: told }).stream())
    expect(warnings(events)).toEqual([
      'rows.jsonl: the column label is not read: it says how good an answer is, and every answer counts alike here',
    ])
    expect(events).toContainEqual({ type: 'note', message: 'rows.jsonl: 46 rows of text; not read: id' })
  })
})

it('a reader that leaves does not wait for the whole base to be read', async () => {
  const waits: boolean[] = []
  const digest = vi.spyOn(BaseWeights.prototype, 'digest').mockImplementation(async (signal) => {
    waits.push(signal?.aborted !== true)
    return { why: 'not read' }
  })
  try {
    for await (const event of trainer('left', { saveStrategy: 'no' }).stream()) if (event.type === 'step') break
    expect(waits).toEqual([false])
  } finally {
    digest.mockRestore()
  }
})
