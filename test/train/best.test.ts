/** Callbacks that steer a run; the best evaluation over a stop and a resume. When TRL stops, saves and loads what: timing.test.ts. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  FastLanguageModel,
  type PretrainedModel,
  type SFTConfig,
  SFTTrainer,
  type SFTTrainerInit,
  type TrainEvent,
} from '../../src/index.ts'
import { NO_BEST } from '../../src/train/best.ts'
import { factsOf } from '../../src/train/loop.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

const rows = tinyRows()
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as { text: string })
let work = ''
let base: PretrainedModel
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'saqr-best-'))
  await writeTinyModel(join(work, 'model'))
  ;({ model: base } = await FastLanguageModel.fromPretrained(join(work, 'model'), { device: 'cpu', dtype: 'float32', loadIn4bit: false }))
})
afterAll(async () => {
  await base.dispose()
  rmSync(work, { recursive: true })
})

const trainer = (name: string, args: SFTConfig, init: Partial<SFTTrainerInit> = {}) =>
  new SFTTrainer({
    model: FastLanguageModel.getPeftModel(base, { r: 2, randomState: 1 }),
    trainDataset: rows.slice(0, 12),
    evalDataset: rows.slice(12, 16),
    report: 'none',
    args: {
      perDeviceTrainBatchSize: 4,
      learningRate: 1e-2,
      loggingStrategy: 'no',
      saveStrategy: 'no',
      outputDir: join(work, name),
      ...args,
    },
    ...init,
  })

async function eventsOf(run: SFTTrainer, until?: (event: TrainEvent) => boolean): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of run.stream()) {
    events.push(event)
    if (until?.(event)) break
  }
  return events
}

const order = (events: readonly TrainEvent[]) =>
  events.flatMap((event) =>
    ['log', 'eval', 'save', 'end'].includes(event.type) ? [`${event.type} ${(event as { step: number }).step}`] : [],
  )

describe('callbacks', () => {
  it('are awaited one after the other, and steer the run', async () => {
    const told: string[] = []
    const run = trainer('steered', { maxSteps: 9 }, {
      callbacks: [
        async (event, control) => {
          if (event.type !== 'step') return
          await new Promise((done) => setTimeout(done, 5))
          told.push(`first ${event.step}`)
          if (event.step === 2) control.shouldSave = control.shouldEvaluate = control.shouldLog = true
          if (event.step === 4) control.shouldTrainingStop = true
        },
        (event) => event.type === 'step' && told.push(`second ${event.step}`),
      ],
    }) // biome-ignore format: short
    const events = await eventsOf(run)
    expect(told).toEqual([1, 2, 3, 4].flatMap((step) => [`first ${step}`, `second ${step}`]))
    expect(order(events)).toEqual(['log 2', 'eval 2', 'save 2', 'end 4'])
    expect(events.at(-1)).toMatchObject({ finished: true, stopped: null, checkpoint: null })
    expect(events).toContainEqual({ type: 'note', message: 'the run ends after 4 of 9 steps: a callback said so' })
  })

  it('a stop within an epoch does what the end of an epoch does', async () => {
    const stopsAt2 = (event: TrainEvent, control: { shouldTrainingStop: boolean }) => {
      if (event.type === 'step' && event.step === 2) control.shouldTrainingStop = true
    }
    const args: SFTConfig = { maxSteps: 9, evalStrategy: 'epoch', saveStrategy: 'epoch', loggingStrategy: 'epoch' }
    expect(order(await eventsOf(trainer('epoch', args, { callbacks: [stopsAt2] })))).toEqual(['log 2', 'eval 2', 'save 2', 'end 2'])
    // a callback's stop is over when the run is asked to go on
    expect(order(await eventsOf(trainer('epoch', { ...args, resumeFromCheckpoint: true })))).toEqual([
      ...['log 3', 'eval 3', 'save 3', 'log 6', 'eval 6', 'save 6', 'log 9', 'eval 9', 'save 9', 'end 9'],
    ])
  })

  it('one that throws ends the run, which keeps what it learned', async () => {
    const run = trainer('throws', { maxSteps: 9 }, {
      callbacks: [
        (event) => {
          if (event.type === 'step' && event.step === 3) throw new Error('mine')
        },
      ],
    }) // biome-ignore format: short
    await expect(run.train()).rejects.toThrow('mine')
    expect(readdirSync(join(work, 'throws'))).toContain('checkpoint-3')
  })

  it('what they can’t ask for is told', async () => {
    const asks = trainer('asks', { maxSteps: 2 }, {
      evalDataset: null,
      callbacks: [(_, control) => void (control.shouldEvaluate = true)],
    }) // biome-ignore format: short
    await expect(asks.train()).rejects.toThrow(/a callback asks for an evaluation.*evalDataset/)
    expect(() => trainer('object', {}, { callbacks: [{}] as never })).toThrow(
      /callbacks: expected functions .* early stopping is an option, earlyStoppingPatience/,
    )
  })
})

describe('the best evaluation', () => {
  // the first stays the best, as more loss counts as better
  const worse: SFTConfig = {
    ...{ maxSteps: 12, evalStrategy: 'steps', evalSteps: 1, saveStrategy: 'steps', saveSteps: 1 },
    ...{ metricForBestModel: 'loss', greaterIsBetter: true, loadBestModelAtEnd: true },
  }

  it('its patience and its checkpoint go on over a stop', async () => {
    const args: SFTConfig = { ...worse, earlyStoppingPatience: 4, saveTotalLimit: 2 }
    const whole = trainer('whole', args)
    expect(order(await eventsOf(whole)).at(-1)).toBe('end 5')
    const cut = { ...args, outputDir: join(work, 'cut') }
    await eventsOf(trainer('cut', cut), (event) => event.type === 'save' && event.step === 3)
    const again = trainer('cut', { ...cut, resumeFromCheckpoint: true })
    const events = await eventsOf(again)
    expect(events.slice(-3)).toMatchObject([
      {
        message: expect.stringMatching(
          /^the run ends after 5 of 12 steps: eval_loss has not got better than \d\.\d+ \(step 1\) in 4 evaluations$/,
        ),
      },
      { message: expect.stringMatching(/^the model is that of step 1, the best of those with a checkpoint \(eval_loss \d\.\d+\)$/) },
      { step: 5, finished: true, checkpoint: join(work, 'cut', 'checkpoint-1') },
    ])
    for (const name of ['whole', 'cut'])
      expect(
        readdirSync(join(work, name))
          .filter((one) => one.startsWith('checkpoint'))
          .sort(),
      ).toEqual(['checkpoint-1', 'checkpoint-5'])
    expect((await again.evaluate()).evalLoss).toBe((await whole.evaluate()).evalLoss)
    const state = JSON.parse(readFileSync(join(work, 'cut/checkpoint-5/trainer_state.json'), 'utf8'))
    expect(state).toMatchObject({ best_global_step: 1, best_model_checkpoint: join(work, 'cut', 'checkpoint-1') })
    expect(state.best_metric).toBe(state.log_history[0].eval_loss)
    // with more patience there is more to do
    const more = await eventsOf(trainer('cut', { ...cut, earlyStoppingPatience: 6, resumeFromCheckpoint: true }))
    expect(order(more).at(-1)).toBe('end 7')
  })

  it('is not that of another metric, nor of another run in the folder', async () => {
    await eventsOf(trainer('other', { ...worse, maxSteps: 2 }))
    const other: SFTConfig = { ...worse, maxSteps: 3, greaterIsBetter: false, resumeFromCheckpoint: true }
    expect(order(await eventsOf(trainer('other', other)))).toEqual(['eval 3', 'save 3', 'end 3'])
    const state = JSON.parse(readFileSync(join(work, 'other/checkpoint-3/trainer_state.json'), 'utf8'))
    expect(state.best_global_step).toBe(3)
    // a run whose first evaluation is the best has no checkpoint of that step of its own
    const third = await eventsOf(trainer('other', { ...worse, learningRate: 1e-3, maxSteps: 4, saveSteps: 4 }))
    expect(third.at(-2)).toMatchObject({
      message: 'no evaluation has a checkpoint: the model is that of the last step',
    })
    expect(existsSync(join(work, 'other/checkpoint-1'))).toBe(true)
  })

  it.each([
    [{ loadBestModelAtEnd: true }, /loadBestModelAtEnd follows the evaluation rows: set evalStrategy/],
    [{ saveStrategy: 'best' }, /saveStrategy best follows the evaluation rows/],
    [{ earlyStoppingPatience: 1 }, /earlyStoppingPatience follows the evaluation rows/],
    [
      { loadBestModelAtEnd: true, evalStrategy: 'steps', saveStrategy: 'epoch' },
      /evalStrategy is steps, saveStrategy epoch; make them the same/,
    ],
    [
      { loadBestModelAtEnd: true, evalStrategy: 'steps', evalSteps: 3, saveStrategy: 'steps', saveSteps: 4 },
      /saveSteps 4 is no multiple of evalSteps 3/,
    ],
    [
      { loadBestModelAtEnd: true, evalStrategy: 'steps', evalSteps: 0.1, saveStrategy: 'steps', saveSteps: 4 },
      /saveSteps 4 is no multiple of evalSteps 0.1/,
    ],
    [{ earlyStoppingPatience: 0, evalStrategy: 'steps' }, /earlyStoppingPatience: expected a whole number of at least 1/],
  ] as [SFTConfig, RegExp][])('%o is refused', (args, message) => expect(() => trainer('refused', args)).toThrow(message))

  it('metrics that evaluation does not have are named at once', () => {
    const of = (metricForBestModel: string) => trainer('metric', { evalStrategy: 'steps', earlyStoppingPatience: 1, metricForBestModel })
    expect(() => of('bleu')).toThrow(/metricForBestModel bleu: evaluation has loss, entropy/)
    expect(() => of('eval_entrpy')).toThrow(/mean_token_accuracy; did you mean entropy\?$/)
  })
})

describe('the best of a run that goes on', () => {
  const before = { value: 0.5, step: 4, saved: 4, worse: 2 }
  const goesOn = (then: object, now: object, patience: number | null = null) => {
    const run = {
      cut: { maxPassTokens: 64 },
      identity: { same: {}, options: now },
      schedule: {},
      options: { earlyStoppingPatience: patience },
    }
    const resumed = { facts: { identity: { same: {}, options: then }, best: before, due: [], ended: true, start: 1 } }
    return factsOf(run as never, resumed as never, join(work, 'nothing'))
  }
  const loss = { metricForBestModel: 'loss', greaterIsBetter: null }

  it.each([
    ['by the same metric stays', loss, before],
    ['by another metric is none yet', { ...loss, metricForBestModel: 'mean_token_accuracy' }, NO_BEST],
    ['the other way round is none yet', { ...loss, greaterIsBetter: true }, NO_BEST],
  ])('%s', (_, now, best) => {
    expect(goesOn(loss, now).best).toEqual(best)
  })

  it('has been waited for as long as before, or anew', () => {
    expect(goesOn(loss, loss, 2).ended).toBe(true)
    expect(goesOn(loss, { ...loss, greaterIsBetter: true }, 2).ended).toBe(false)
  })
})
