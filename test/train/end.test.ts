/** What a run says when it is over, and what an evaluation of its own says: TRL's numbers, of this call. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FastLanguageModel, type PretrainedModel, SaqrError, type SFTConfig, SFTTrainer, type TrainOutput } from '../../src/index.ts'
import { rescue } from '../../src/train/rescue.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

const rows = tinyRows()
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as { text: string })
let work = ''
let base: PretrainedModel
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'saqr-end-'))
  await writeTinyModel(join(work, 'model'))
  ;({ model: base } = await FastLanguageModel.fromPretrained(join(work, 'model'), { device: 'cpu', dtype: 'float32', loadIn4bit: false }))
})
afterAll(async () => {
  await base.dispose()
  rmSync(work, { recursive: true })
})
const adapted = () => FastLanguageModel.getPeftModel(base, { r: 2 })
const trainer = (name: string, args: SFTConfig, model = adapted()) =>
  new SFTTrainer({
    model,
    trainDataset: rows.slice(0, 10),
    evalDataset: rows.slice(10, 14),
    report: 'none',
    args: { perDeviceTrainBatchSize: 4, learningRate: 1e-3, saveStrategy: 'no', outputDir: join(work, name), ...args },
  })

/** rows and steps that the metrics are rates of */
const counted = ({ metrics: m }: TrainOutput) =>
  [m.trainSamplesPerSecond * m.trainRuntime, m.trainStepsPerSecond * m.trainRuntime].map((n) => Number(n.toFixed(6)))

describe('the metrics of the end', () => {
  it('count the rows there were: TRL has 30 samples in 9 steps for three epochs of 10 rows, 4 at a time', async () => {
    expect(counted(await trainer('epochs', { numTrainEpochs: 3 }).train())).toEqual([30, 9])
  })

  it('of a resumed run are of this call, as transformers has them', async () => {
    const steps: SFTConfig = { saveStrategy: 'steps', loggingSteps: 1 }
    const losses = async (args: SFTConfig) => {
      const list: number[] = []
      const run = trainer('resumed', args)
      for await (const event of run.stream()) {
        if (event.type === 'log') list.push(event.loss)
        if (event.type === 'end') return { list, output: { metrics: event.metrics } as TrainOutput, step: event.step }
      }
      throw new Error('no end')
    }
    const first = await losses({ ...steps, maxSteps: 5 })
    expect(counted(first.output)).toEqual([4 + 4 + 2 + 4 + 4, 5])
    expect(first.output.metrics.trainLoss).toBeCloseTo(first.list.reduce((a, b) => a + b) / 5, 12)
    const second = await losses({ ...steps, maxSteps: 6, resumeFromCheckpoint: true })
    expect([second.step, ...counted(second.output)]).toEqual([6, 2, 1])
    expect(second.list).toEqual([second.output.metrics.trainLoss])
    const nothing = await losses({ ...steps, maxSteps: 6, resumeFromCheckpoint: true })
    expect([...counted(nothing.output), nothing.output.metrics.trainLoss]).toEqual([0, 0, 0])
  })
})

describe('evaluate()', () => {
  it('scores a model that trains nothing, as an adapter that has learned nothing scores', async () => {
    const args: SFTConfig = { perDeviceEvalBatchSize: 2 }
    const before = await trainer('base', args, base).evaluate()
    expect(before.evalLoss).toBeGreaterThan(1)
    // lora_B is zero: the same products and a sum with zeros
    expect((await trainer('base', args).evaluate()).evalLoss).toBeCloseTo(before.evalLoss, 6)
    await expect(trainer('base', args, base).train()).rejects.toThrow(/nothing of this model is trained/)
  })

  it('keeps its passes within maxPassTokens and its memory within a budget', async () => {
    const whole = await trainer('cut', {}, base).evaluate()
    expect((await trainer('cut', { maxPassTokens: 128 }, base).evaluate()).evalLoss).toBeCloseTo(whole.evalLoss, 5)
    const small = new SFTTrainer({ model: base, trainDataset: rows, evalDataset: rows, memory: '1MiB', report: 'none' })
    await expect(small.evaluate()).rejects.toThrow(/1MiB of memory are too little/)
  })
})

describe('an evaluation that never comes', () => {
  it.each<SFTConfig>([
    { evalStrategy: 'steps', evalDelay: 4 },
    { evalStrategy: 'epoch', evalDelay: 2 },
  ])('is told, and refused where the learning rate waits for it: %j', async (args) => {
    const messages = async (more: SFTConfig) => {
      const list: string[] = []
      for await (const event of trainer('never', { maxSteps: 3, ...args, ...more }).stream())
        if (event.type === 'warning') list.push(event.message)
      return list
    }
    expect(await messages({})).toEqual([
      `evalDelay ${args.evalDelay} is beyond the end of the run, so the evaluation rows are never scored`,
    ])
    expect(await messages({ evalDelay: 1 })).toEqual([])
    await expect(messages({ lrSchedulerType: 'reduce_lr_on_plateau' })).rejects.toThrow(
      `lrSchedulerType reduce_lr_on_plateau follows evaluations, and evalDelay ${args.evalDelay} is beyond the end of the run (3 steps): lower it`,
    )
  })
})

describe('resumeFromCheckpoint', () => {
  it('names a folder that is not there, and the newest that is', async () => {
    const gone = join(work, 'gone/checkpoint-5')
    await expect(trainer('none', { maxSteps: 1, resumeFromCheckpoint: gone }).train()).rejects.toThrow(
      /^resumeFromCheckpoint .*checkpoint-5: there is no such folder\. Name a checkpoint-N folder that saqr saved; in .*none there is none\.$/,
    )
    await trainer('some', { maxSteps: 1, saveStrategy: 'steps' }).train()
    await expect(trainer('some', { maxSteps: 1, resumeFromCheckpoint: 'last' }).train()).rejects.toThrow(
      /^resumeFromCheckpoint last: there is no such folder\. The newest of .*some is .*checkpoint-1; true takes that\.$/,
    )
  })

  it('true doesn’t pass over checkpoints of another program', async () => {
    await trainer('foreign', { maxSteps: 1, saveStrategy: 'steps' }).train()
    rmSync(join(work, 'foreign/checkpoint-1/saqr_run.json'))
    await expect(trainer('foreign', { maxSteps: 1, resumeFromCheckpoint: true }).train()).rejects.toThrow(
      /checkpoint-1 has no saqr_run\.json: saqr saved none of the checkpoints there, and can’t go on from them/,
    )
  })

  it.each(['global_step', 'num_input_tokens_seen'])('takes whole numbers for %s', async (key) => {
    const name = `whole ${key}`
    await trainer(name, { maxSteps: 1, saveStrategy: 'steps' }).train()
    const path = join(work, name, 'checkpoint-1/trainer_state.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace(new RegExp(`"${key}": \\d+`), `"${key}": 2.5`))
    await expect(trainer(name, { maxSteps: 3, resumeFromCheckpoint: true }).train()).rejects.toThrow(
      `${key} must be a whole number, not 2.5: take another checkpoint`,
    )
  })
})

describe('an end before the beginning', () => {
  it('rejects with the signal’s own reason', async () => {
    const reason = { of: 'my own' }
    await expect(trainer('aborted', { maxSteps: 1 }).train({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  it('a model that is freed while its run is held is told once', async () => {
    const model = adapted()
    const held = async () => {
      for await (const event of trainer('freed', { maxSteps: 4 }, model).stream()) if (event.type === 'step') await model.dispose()
    }
    await expect(held()).rejects.toMatchObject({ code: 'MODEL_DISPOSED', message: 'this model was disposed of: open it again' })
  })

  it('a save that fails twice is told in sentences, and leaves no folder behind', async () => {
    let tried = ''
    const fails = async (folder: string) => {
      tried = folder
      throw new Error('no room there')
    }
    const error = await rescue(new SaqrError('FORMAT_FILE', 'the disk is full: free some'), fails, () => '')
    expect(error.message).toBe(`the disk is full: free some. The temporary folder ${tmpdir()} could not take it either: no room there`)
    expect([tried.startsWith(tmpdir()), existsSync(tried)]).toEqual([true, false])
  })
})
