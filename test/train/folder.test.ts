/** Runs that follow one another in one folder, and runs that go on where another was stopped: which checkpoint is whose, and what is still due. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { logEntry, type TrainEvent } from '../../src/track/events.ts'
import { LATER } from '../../src/train/identity.ts'
import type { SFTConfig } from '../../src/train/options/sft.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'

const folder = join(import.meta.dirname, '../fixtures/training/evaluation')
const work = mkdtempSync(join(tmpdir(), 'saqr-folder-'))
const device = new CpuDevice({ threads: 1 })
afterAll(() => {
  device.dispose()
  rmSync(work, { recursive: true })
})
const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
const fresh = () => loadAdapter(opened, join(folder, 'adapter'))
const rows = await loadDataset(join(folder, 'train.jsonl'))
const evalRows = await loadDataset(join(folder, 'eval.jsonl'))

function trainer(name: string, args: SFTConfig, language: LanguageModel = fresh()): SFTTrainer {
  const shared = { perDeviceTrainBatchSize: 4, learningRate: 1e-3, loggingSteps: 1, maxSteps: 4, outputDir: join(work, name) }
  return new SFTTrainer({
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: rows,
    evalDataset: args.evalStrategy ? evalRows : undefined,
    args: { ...shared, ...args },
  })
}

/** @param leave where the reader of the events leaves */
async function events(run: SFTTrainer, leave: (event: TrainEvent) => boolean = () => false): Promise<TrainEvent[]> {
  const list: TrainEvent[] = []
  for await (const event of run.stream()) {
    list.push(event)
    if (leave(event)) break
  }
  return list
}

const said = (list: readonly TrainEvent[]) => list.flatMap((e) => (e.type === 'warning' || e.type === 'note' ? [e.message] : []))
const at = (name: string, step: number) => join(work, name, `checkpoint-${step}`)

describe('a second run in a folder', () => {
  it('keeps what it saves and what it did not save, whatever the numbers of steps', async () => {
    await trainer('two', { maxSteps: 6, saveSteps: 3 }).train()
    const second = await events(trainer('two', { maxSteps: 4, saveSteps: 2, learningRate: 1e-4, saveTotalLimit: 1 }))
    for (const event of second) if (event.type === 'save' && event.step === 4) expect(event.path).toBe(at('two', 4))
    expect([2, 3, 4, 6].filter((step) => existsSync(at('two', step)))).toEqual([3, 4, 6])
  })

  it('is the one that is gone on with', async () => {
    await trainer('newer', { maxSteps: 6, saveSteps: 6 }).train()
    await trainer('newer', { maxSteps: 3, saveSteps: 3, learningRate: 1e-4 }).train()
    const resumed = await events(trainer('newer', { maxSteps: 5, learningRate: 1e-4, resumeFromCheckpoint: true }))
    expect(resumed.filter(({ type }) => type === 'step').map((e) => (e as { step: number }).step)).toEqual([4, 5])
    expect(said(resumed).filter((line) => line.includes('learningRate'))).toEqual([])
  })

  it('gone on with by name is the newest again', async () => {
    await trainer('by name', { maxSteps: 4, saveSteps: 2 }).train()
    await events(trainer('by name', { maxSteps: 4, saveSteps: 2 }), (event) => event.type === 'step' && event.step === 1)
    await trainer('by name', { maxSteps: 6, saveSteps: 6 }).train({ resumeFromCheckpoint: at('by name', 4) })
    const { globalStep, metrics } = await trainer('by name', { maxSteps: 7 }).train(true)
    expect([globalStep, Math.round(metrics.trainStepsPerSecond * metrics.trainRuntime)]).toEqual([7, 1])
  })

  it('is not ended by a damaged neighbour', async () => {
    mkdirSync(at('damaged', 1), { recursive: true })
    writeFileSync(join(at('damaged', 1), 'saqr_run.json'), '{')
    expect((await trainer('damaged', { saveSteps: 2, saveTotalLimit: 1 }).train()).finished).toBe(true)
    expect([1, 2, 4].filter((step) => existsSync(at('damaged', step)))).toEqual([1, 4])
  })
})

describe('what is saved', () => {
  it('has the tokenizer that it was trained with', async () => {
    const chatTemplate = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}'
    const processingClass = new Tokenizer(opened.checkpoint.tokenizer!, { chatTemplate })
    const args = { perDeviceTrainBatchSize: 4, maxSteps: 1, saveSteps: 1, outputDir: join(work, 'tokenizer') }
    const language = fresh()
    await new SFTTrainer({ model: { language }, processingClass, trainDataset: rows, args }).train()
    expect(readFileSync(join(at('tokenizer', 1), 'chat_template.jinja'), 'utf8')).toBe(chatTemplate)
    await saveTrained(language, join(work, 'tokenizer', 'saved'))
    expect(readFileSync(join(work, 'tokenizer', 'saved', 'chat_template.jinja'), 'utf8')).toBe(chatTemplate)
  })

  it('as a whole model is what opens there: a folder with an adapter is refused before the first step', async () => {
    await saveTrained(fresh(), join(work, 'taken'))
    const whole = new LanguageModel(opened, { kind: 'full' }, 0)
    await expect(trainer('taken', {}, whole).train()).rejects.toThrow(/taken holds an adapter \(adapter_config\.json\)/)
    whole.disposeAdapter()
  })
})

describe('a run that goes on', () => {
  it('does what was due when it was stopped: the log, the evaluation that moves the learning rate', async () => {
    const plateau = { lrSchedulerType: 'reduce_lr_on_plateau', lrSchedulerKwargs: { patience: 0, threshold: 0.9, factor: 0.5 } } as const
    const args = { ...plateau, evalStrategy: 'steps', evalSteps: 1, saveStrategy: 'no' } as const
    const measured = (list: readonly TrainEvent[]) =>
      list.flatMap((e) => {
        if (e.type !== 'log' && e.type !== 'eval') return []
        const { eval_runtime: _, eval_samples_per_second: __, eval_steps_per_second: ___, ...entry } = logEntry(e)
        return [entry]
      })
    const whole = measured(await events(trainer('whole', args)))
    for (const type of ['step', 'log', 'eval'] as const) {
      const name = `left at ${type}`
      const before = await events(trainer(name, args), (event) => event.type === type && event.step === 2)
      const after = await events(trainer(name, { ...args, resumeFromCheckpoint: true }))
      expect([...measured(before), ...measured(after)], name).toEqual(whole)
    }
  })

  it('is told that its passes stay as they were', async () => {
    const { maxPassTokens } = await (async () => {
      await trainer('passes', { maxSteps: 2, saveSteps: 2 }).train()
      return JSON.parse(readFileSync(join(at('passes', 2), 'saqr_run.json'), 'utf8'))
    })()
    const resumed = await events(trainer('passes', { maxPassTokens: 112, resumeFromCheckpoint: true }))
    expect(said(resumed)).toContainEqual(
      expect.stringMatching(`passes of ${maxPassTokens} tokens \\(maxPassTokens\\), and the run goes on with those, not 112`),
    )
  })

  it('has the new learning rate that it is told of, also where evaluations had moved the old one', async () => {
    const args = { lrSchedulerType: 'reduce_lr_on_plateau', evalStrategy: 'steps', evalSteps: 1 } as const
    await trainer('rate', { ...args, maxSteps: 2, saveSteps: 2 }).train()
    const resumed = await events(trainer('rate', { ...args, learningRate: 5e-5, resumeFromCheckpoint: true }))
    expect(said(resumed)).toContainEqual(expect.stringMatching(/learningRate 0.001 there, 0.00005 now/))
    expect(resumed.flatMap((e) => (e.type === 'log' ? [e.learningRate] : []))).toEqual([5e-5, 5e-5])
  })

  it('is told where beginnings are no longer shared', async () => {
    await trainer('shared', { maxSteps: 2, saveSteps: 2 }).train()
    const resumed = await events(trainer('shared', { prefixSharing: false, resumeFromCheckpoint: true }))
    expect(said(resumed)).toContainEqual(expect.stringMatching(/prefixSharing true there, false now/))
  })

  it('is refused over a base that is another in one value, wherever that is', async () => {
    await trainer('base', { maxSteps: 2, saveSteps: 2 }).train()
    const other = join(work, 'other base')
    cpSync(join(folder, 'model'), other, { recursive: true })
    const file = join(other, 'model.safetensors')
    const bytes = readFileSync(file)
    // row 1 of as many as a vocabulary has
    const [embedding] = [...readSafetensors(file).tensors.values()].filter(({ shape }) => shape.length === 2 && shape[0]! > 16)
    bytes[embedding!.offset + embedding!.bytes / embedding!.shape[0]! + 1]! ^= 1
    writeFileSync(file, bytes)
    const { choice } = opened
    const own = new CpuDevice({ threads: 1 })
    const over = loadAdapter(new OpenedModel(own, openCheckpoint(other), choice), join(folder, 'adapter'))
    const resume = () => events(trainer('base', { resumeFromCheckpoint: true }, over))
    utimesSync(file, 1, 1) // read by what it holds, not by when it was written
    await expect(resume()).rejects.toThrow(`the weights of ${other} are not those it was trained over`)
    // what an older saqr saved has no digest of every value: it goes on, and says so
    const saved = join(at('base', 2), 'saqr_run.json')
    const facts = JSON.parse(readFileSync(saved, 'utf8'))
    for (const key of LATER) delete facts.identity.same[key]
    writeFileSync(saved, JSON.stringify(facts))
    expect(said(await resume())).toContainEqual(
      expect.stringMatching(/doesn’t say what its configuration and first values and base’s weights were/),
    )
    own.dispose()
  })

  it('goes on over a base whose file was touched, or copied over itself, since it was opened', async () => {
    await trainer('touched', { maxSteps: 2, saveSteps: 2 }).train()
    const same = join(work, 'touched base')
    cpSync(join(folder, 'model'), same, { recursive: true })
    const own = new CpuDevice({ threads: 1 })
    const over = loadAdapter(new OpenedModel(own, openCheckpoint(same), opened.choice), join(folder, 'adapter'))
    const file = join(same, 'model.safetensors')
    const bytes = readFileSync(file)
    rmSync(file)
    writeFileSync(file, bytes)
    const resumed = await events(trainer('touched', { resumeFromCheckpoint: true, saveSteps: 4 }, over))
    expect(said(resumed).filter((text) => /weights/.test(text))).toEqual([])
    expect(resumed.at(-1)).toMatchObject({ type: 'end', step: 4, finished: true })
    own.dispose()
  })

  it('goes on over a base whose config.json says the same in other words, and is told what else says another', async () => {
    await trainer('config', { maxSteps: 2, saveSteps: 2 }).train()
    const resume = async (name: string, change: object) => {
      const other = join(work, name)
      cpSync(join(folder, 'model'), other, { recursive: true })
      const path = join(other, 'config.json')
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }))
      const own = new CpuDevice({ threads: 1 })
      try {
        const over = loadAdapter(new OpenedModel(own, openCheckpoint(other), opened.choice), join(folder, 'adapter'))
        return await events(trainer('config', { resumeFromCheckpoint: true }, over), (event) => event.type === 'step')
      } finally {
        own.dispose()
      }
    }
    const { rms_norm_eps: eps } = opened.checkpoint.config as { rms_norm_eps: number }
    await expect(resume('other config', { rms_norm_eps: 3e-5 })).rejects.toThrow(
      `is of another run: config rms_norm_eps ${eps} there, 0.00003 now`,
    )
    const same = { transformers_version: '9.9.9', _name_or_path: 'elsewhere', architectures: ['Other', 'LlamaForCausalLM'] }
    expect((await resume('same config', same)).some(({ type }) => type === 'step')).toBe(true)
  })

  it('keeps a checkpoint of a base that can’t be read any more, and says once what it doesn’t know', async () => {
    const other = join(work, 'gone base')
    cpSync(join(folder, 'model'), other, { recursive: true })
    const own = new CpuDevice({ threads: 1 })
    const over = loadAdapter(new OpenedModel(own, openCheckpoint(other), opened.choice), join(folder, 'adapter'))
    const file = join(other, 'model.safetensors')
    const begun = trainer('gone', { maxSteps: 3, saveSteps: 1 }, over).stream()
    const seen: TrainEvent[] = []
    for await (const event of begun) {
      seen.push(event)
      // its pages stay mapped, its name is gone
      if (event.type === 'start') rmSync(file)
    }
    own.dispose()
    expect(said(seen).filter((text) => text.includes('which weights'))).toEqual([
      expect.stringMatching(/step 1, and any behind it, doesn’t say which weights .*gone base has \(.*model\.safetensors/),
    ])
    expect(JSON.parse(readFileSync(join(at('gone', 2), 'saqr_run.json'), 'utf8')).identity.same.weights).toBeUndefined()
    expect(said(await events(trainer('gone', { resumeFromCheckpoint: true })))).toContainEqual(expect.stringMatching(/base’s weights were/))
  })

  it('is refused over an adapter that began as another', async () => {
    await trainer('began', { maxSteps: 2, saveSteps: 2 }).train()
    const other = fresh()
    const name = other.trainables.names[0]!
    other.trainables.set(
      name,
      other.trainables.get(name).map((x) => x + 0.25),
    )
    await expect(trainer('began', { resumeFromCheckpoint: true }, other).train()).rejects.toThrow(
      /is of another run: what it trains began with other values/,
    )
    // in one value
    const barely = fresh()
    const large = barely.trainables.names.find((one) => barely.trainables.shape(one).rows > 8)!
    const values = barely.trainables.get(large)
    values[barely.trainables.shape(large).cols]! += 0.25
    barely.trainables.set(large, values)
    await expect(trainer('began', { resumeFromCheckpoint: true }, barely).train()).rejects.toThrow(
      /is of another run: what it trains began with other values/,
    )
    // trained meanwhile, but begun the same
    const same = fresh()
    await trainer('elsewhere', { maxSteps: 1 }, same).train()
    expect((await trainer('began', { resumeFromCheckpoint: true }, same).train()).finished).toBe(true)
  })
})

describe('a folder that holds another run', () => {
  const told = async (name: string, args: SFTConfig = {}) =>
    (await events(trainer(name, { maxSteps: 1, saveSteps: 1, ...args }))).flatMap((event) =>
      event.type === 'warning' ? [event.message] : [],
    )

  it('is told by a run that begins anew, and not by one that goes on', async () => {
    expect(await told('held')).toEqual([])
    const warned = [
      expect.stringMatching(
        /held holds checkpoint-1 of an earlier run: .* set resumeFromCheckpoint true; To keep all of it, name another outputDir$/,
      ),
    ]
    expect(await told('held')).toEqual(warned)
    expect((await told('held', { resumeFromCheckpoint: true, maxSteps: 2 })).join()).not.toContain('an earlier run')
    rmSync(join(work, 'held', 'checkpoint-1'), { recursive: true })
    rmSync(join(work, 'held', 'checkpoint-2'), { recursive: true })
    await saveTrained(fresh(), join(work, 'held'))
    mkdirSync(join(work, 'theirs', 'checkpoint-10'), { recursive: true })
    expect(await told('theirs')).toEqual([expect.stringMatching(/theirs holds checkpoint-10 of an earlier run: [^;]*\. To keep all of it/)])
    mkdirSync(join(work, 'base-alone'))
    cpSync(join(folder, 'model', 'model.safetensors'), join(work, 'base-alone', 'model.safetensors'))
    expect(await told('base-alone')).toEqual([])
    expect(await told('held')).toEqual([
      expect.stringMatching(/held holds adapter_model\.safetensors of an earlier run: [^;]*\. To keep all of it/),
    ])
  })
})
