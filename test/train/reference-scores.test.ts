/** Scores of a reference are kept while they are made: a run that goes on, or comes again, takes those over that are still right. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { PassRunner } from '../../src/engine/runner.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import type { TrainEvent } from '../../src/track/events.ts'
import { preparingLine } from '../../src/track/preparing-line.ts'
import { wholeDigest } from '../../src/train/identity.ts'
import type { DPOTrainerInit } from '../../src/train/options/trainer-types.ts'
import { REFERENCE_SCORES } from '../../src/train/reference-scores.ts'
import { base, eachOnABase, eventsOf, historyOf, root, trainerOf, values } from './dpo-runs.ts'

eachOnABase()

describe('what the reference said', () => {
  const scored = (events: TrainEvent[]) =>
    events.flatMap((e) => (e.type === 'note' && /scored by the reference/.test(e.message) ? [Number(/^\d+/.exec(e.message)![0])] : []))
  const file = (folder: string) => join(base.work, folder, REFERENCE_SCORES)
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
    const second = loadAdapter(base.opened, join(root, 'adapter'))
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
      const model = join(base.work, 'looks-alike-model')
      cpSync(join(root, 'model'), model, { recursive: true })
      const { source, rows: vocab, cols, dtype } = base.opened.checkpoint.tensors.get('model.embed_tokens.weight')!
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
      const over = new OpenedModel(own, openCheckpoint(model), base.opened.choice)
      const run = async (folder: string) => eventsOf((await trainerOf(folder, {}, loadAdapter(over, join(root, 'adapter')))).trainer)
      const again = await run('looks-alike')
      expect(took(again)).toBe(false)
      expect(losses(again)).toEqual(losses(await run('looks-alike-2')))
      own.dispose()
    })

    it('in a second adapter', async () => {
      const second = () => loadAdapter(base.opened, join(root, 'adapter'))
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
      const described = base.device.describe()
      const spy = vi.spyOn(base.device, 'describe').mockReturnValue({ ...described, label: `${described.label}, another` })
      expect([await run(), await run()]).toEqual([false, true])
      spy.mockRestore()
    })

    it('in the code that computes it', async () => {
      const [one, same, other] = await Promise.all(
        [undefined, undefined, 'another'].map((code) => wholeDigest(loadAdapter(base.opened, join(root, 'adapter')), undefined, code)),
      )
      expect(same).toBe(one)
      expect(other).not.toBe(one)
    })
  })

  it('is kept in each folder of runs that go on with one another', async () => {
    const [rows] = scored(await eventsOf((await trainerOf('chain-1')).trainer, 4))
    const goOn = async (folder: string, from: string) => {
      const { trainer } = await trainerOf(folder, { args: { ...resumed.args, resumeFromCheckpoint: join(base.work, from) } })
      return (await eventsOf(trainer)).flatMap((e) => (e.type === 'note' && /by the reference/.test(e.message) ? [e.message] : []))
    }
    const taken = (from: string) => [`${rows} rows were scored by the reference before: taken from ${file(from)}`]
    // what stands there of another run hides nothing
    mkdirSync(join(base.work, 'chain-2'))
    writeFileSync(file('chain-2'), 'of another\n')
    expect(await goOn('chain-2', 'chain-1/checkpoint-3')).toEqual(taken('chain-1'))
    expect(await goOn('chain-3', 'chain-2/checkpoint-6')).toEqual(taken('chain-2'))
    for (const folder of ['chain-2', 'chain-3']) expect(readFileSync(file(folder), 'utf8')).toBe(readFileSync(file('chain-1'), 'utf8'))
  })

  /** one value is another */
  function replace(path: string): void {
    const bytes = readFileSync(path)
    bytes[bytes.length - 1]! ^= 1
    rmSync(path) // the device has the old one mapped
    writeFileSync(path, bytes)
  }

  it.each([
    ['was replaced by another', replace, /model\.safetensors was written to or replaced since it was opened/],
    ['is there no more', (path: string) => rmSync(path), /model\.safetensors/],
  ])('is not kept, and not taken, where the base %s since it was opened', async (name, change, why) => {
    const whole = await trainerOf('kept-whole-4')
    await eventsOf(whole.trainer)
    const model = join(base.work, `${name} base`)
    cpSync(join(root, 'model'), model, { recursive: true })
    const own = new CpuDevice({ threads: 2 })
    const over = loadAdapter(new OpenedModel(own, openCheckpoint(model), base.opened.choice), join(root, 'adapter'))
    mkdirSync(join(base.work, name))
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
