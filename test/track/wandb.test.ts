/** A run in W&B: its file, what is sent of it, and that nothing is lost whatever the server or the process does. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AnswersEvent, TrainEvent } from '../../src/track/events.ts'
import { type Tracker, tracked } from '../../src/track/tracker.ts'
import { wandbFile } from '../../src/track/wandb/file.ts'
import { framed, HEADER, recordsOf } from '../../src/track/wandb/log.ts'
import { lineOf, read } from '../../src/track/wandb/records.ts'
import { wandbSettings } from '../../src/track/wandb/settings.ts'
import type { TableFile } from '../../src/track/wandb/table.ts'
import { wandb } from '../../src/track/wandb/wandb.ts'
import { endOf, evalOf, logOf, startOf } from './start.ts'
import { type FakeWandb, fakeWandb } from './wandb-server.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-wandb-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const KEY = 'a-key'
const PACE = { interval: 0.01, retry: 0.01, slowest: 0.05, heartbeat: 0.2 }
const wait = (ms: number) => new Promise((done) => setTimeout(done, ms))

describe('the log', () => {
  const content = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) % 251)

  it('is read again, whatever the lengths of records, up to where it is cut', () => {
    // ends of blocks are at 32768: records end right before, within 6 bytes of, on and behind them
    const sizes = [0, 1, 32700, 20, 40, 32754, 3, 32755, 32761, 100_000, 5, 65_522, 1]
    let file: Uint8Array = HEADER
    const ends: number[] = []
    for (const size of sizes) {
      file = Buffer.concat([file, framed(content(size), file.length)])
      ends.push(file.length)
    }
    const records = recordsOf(file)!
    expect(records.map((one) => Buffer.from(one.content).equals(content(one.content.length)))).toEqual(sizes.map(() => true))
    expect(records.map((one) => one.content.length)).toEqual(sizes)
    for (const [i, end] of ends.entries()) {
      expect(recordsOf(file.subarray(0, end))!.length, `whole ${i}`).toBe(i + 1)
      expect(recordsOf(file.subarray(0, end - 1))!.length, `cut ${i}`).toBe(i)
    }
    const damaged = Buffer.from(file)
    damaged[ends[3]! - 2]! ^= 1
    expect(recordsOf(damaged)).toHaveLength(3)
    expect(recordsOf(Buffer.from('something else'))).toBeNull()
  })

  // wandb 0.26's DataStore: write_header, then write('abc') and write(5000 × 'x', 30000 × 'y')
  it('has the bytes that wandb writes', () => {
    const [a, b] = [Buffer.from('abc'), Buffer.from('x'.repeat(5000) + 'y'.repeat(30000))]
    let file: Uint8Array = HEADER
    for (const record of [a, b]) file = Buffer.concat([file, framed(record, file.length)])
    expect(Buffer.from(file.subarray(0, 17)).toString('hex')).toBe(RECORDED.head)
    expect(file.length).toBe(RECORDED.length)
    expect(Buffer.from(file.subarray(17, 24)).toString('hex')).toBe(RECORDED.first)
    expect(Buffer.from(file.subarray(32768, 32775)).toString('hex')).toBe(RECORDED.last)
  })

  it('goes on behind its last whole record, its exit taken back', () => {
    const path = join(folder, 'again.wandb')
    const first = wandbFile(path, 'a')
    for (let n = 0; n < 3; n++) first.write(Uint8Array.of(0x32, 0)) // files
    first.close()
    writeFileSync(path, Buffer.concat([readFileSync(path), Uint8Array.of(1, 2, 3)]))
    const second = wandbFile(path, 'a')
    expect(second.before).toHaveLength(3)
    second.write(Uint8Array.of(0x92, 1, 0)) // exit
    second.close()
    const third = wandbFile(path, 'a')
    expect(third.before).toHaveLength(3)
    third.write(Uint8Array.of(0x32, 0))
    third.close()
    expect(recordsOf(readFileSync(path))!.map((one) => read(one.content).kind)).toEqual(['other', 'other', 'other', 'other'])
  })
})

const RECORDED = { head: '3a572642e1be00a9209d53030001616263', length: 35031, first: 'd9e5cc6fe87f02', last: 'f89c0bb9d00804' }

/** events of a run from one step to another, with a log and an evaluation each second step */
function* eventsOf(outputDir: string, from: number, to: number, last = true): Generator<TrainEvent> {
  yield startOf(outputDir, { doneSteps: from })
  for (let step = from + 1; step <= to; step++) {
    yield { type: 'step', step, epoch: step / 10, loss: 2 / step, elapsed: step, tokensPerSecond: 1, computedTokensPerSecond: 1, share: 1 }
    yield logOf(step, 2 / step)
    if (step % 2 === 0) yield evalOf(step, 3 / step)
  }
  if (last) yield endOf(to, { finished: true })
}

async function* slowly(events: Iterable<TrainEvent>, ms: number): AsyncGenerator<TrainEvent> {
  for (const event of events) {
    await wait(ms)
    yield event
  }
}

async function go(tracker: Tracker, events: Iterable<TrainEvent>, ms = 0): Promise<string[]> {
  const said: string[] = []
  for await (const event of tracked(slowly(events, ms), [tracker])) if ('message' in event) said.push(`${event.type}: ${event.message}`)
  return said
}

/** what a run's file has */
function logged(outputDir: string): { kinds: string[]; history: Record<string, number>[]; path: string } {
  const [run] = readdirSync(join(outputDir, 'wandb'))
  const name = readdirSync(join(outputDir, 'wandb', run!)).find((one) => one.endsWith('.wandb'))!
  const path = join(outputDir, 'wandb', run!, name)
  const records = recordsOf(readFileSync(path))!.map((one) => read(one.content))
  const history = records.flatMap((one) => (one.kind === 'history' ? [one.values as Record<string, number>] : []))
  return { kinds: records.map(({ kind }) => kind), history, path }
}

describe('offline', () => {
  const settings = wandbSettings({ WANDB_MODE: 'offline', NETRC: '/nowhere' })

  it('is a file with all that is logged, by transformers’ names', async () => {
    const out = join(folder, 'offline')
    const said = await go(wandb({ settings, name: 'falcon' }), eventsOf(out, 0, 4))
    expect(said).toEqual([
      expect.stringMatching(/^note: W&B is offline: wandb sync .*offline-run-\d{8}_\d{6}-[a-z0-9]{8} uploads the run$/),
    ])
    const { kinds, history } = logged(out)
    expect(kinds.at(-1)).toBe('exit')
    expect(kinds.filter((kind) => kind === 'stats').length).toBeGreaterThanOrEqual(1)
    expect(history.map((line) => [line._step, line['train/global_step'], line['train/loss'] ?? line['eval/loss']])).toEqual([
      [0, 1, 2],
      [1, 2, 1],
      [2, 2, 1.5],
      [3, 3, 2 / 3],
      [4, 4, 0.5],
      [5, 4, 0.75],
      [6, 4, undefined],
    ])
    expect(Object.keys(history[0]!)).toEqual(
      expect.arrayContaining(['train/grad_norm', 'train/learning_rate', 'train/epoch', '_runtime', '_timestamp']),
    )
    // of the whole run, so no curve
    expect(Object.keys(history[6]!)).not.toContain('train/train_loss')
  })

  it('keeps what is no number under its name, also where the run goes on', async () => {
    const out = join(folder, 'nan')
    const odd = { ...logOf(1, Number.NaN), metrics: { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY } }
    await go(wandb({ settings, name: null }), [startOf(out), odd, endOf(1)])
    await go(wandb({ settings, name: null }), [startOf(out, { doneSteps: 1 }), logOf(2, 1), endOf(2)])
    const { history } = logged(out)
    expect(history[0]).toMatchObject({ 'train/loss': Number.NaN, 'train/low': Number.NEGATIVE_INFINITY, 'train/high': Number.POSITIVE_INFINITY }) // biome-ignore format: short
    expect(history.at(-1)!._step).toBe(3)
    expect(lineOf({ a: Number.NaN, 'b"': [1] })).toBe('{"a":NaN,"b\\"":[1]}') // as json.dumps
  })

  it('goes on in the same file where the run does, and not where another begins', async () => {
    const out = join(folder, 'offline-again')
    await go(wandb({ settings, name: null }), eventsOf(out, 0, 4))
    await go(wandb({ settings, name: null }), eventsOf(out, 4, 6))
    const { kinds, history } = logged(out)
    expect(kinds.filter((kind) => kind === 'exit')).toHaveLength(1)
    expect(history.map((line) => line._step)).toEqual(Array.from({ length: 11 }, (_, i) => i))
    expect(history.map((line) => line._runtime).every((time, i, all) => i === 0 || time! >= all[i - 1]!)).toBe(true)
    await go(wandb({ settings, name: null }), eventsOf(out, 0, 2))
    expect(readdirSync(join(out, 'wandb'))).toHaveLength(2)
  })
})

/** of prompts of all sorts */
const answersAt = (step: number): AnswersEvent => ({
  type: 'answers',
  step,
  epoch: step / 16,
  answers: [
    { prompt: 'What flies? صقر', answer: `a falcon\u0000 at ${step}`, ending: 'stop' },
    { prompt: `half \ud83d of a pair`, answer: 'x'.repeat(1 << 20), ending: 'length' },
  ],
})
const rowsAt = (step: number) => answersAt(step).answers.map(({ prompt, answer, ending }) => [step, prompt, answer, ending])
function* withAnswers(events: Iterable<TrainEvent>): Generator<TrainEvent> {
  for (const event of events) {
    yield event
    if (event.type === 'eval') yield answersAt(event.step)
  }
}
/** the tables that lines speak of, as they are on disk */
function tablesIn(out: string): { line: number; step: number; path: string; content: Buffer }[] {
  const { history, path } = logged(out)
  return history.flatMap((values) => {
    const table = values['eval/answers'] as unknown as TableFile | undefined
    if (!table) return []
    const content = readFileSync(join(dirname(path), 'files', table.path))
    const sha256 = createHash('sha256').update(content).digest('hex')
    expect(table).toEqual({
      _type: 'table-file',
      path: table.path,
      sha256,
      size: content.length,
      ncols: 4,
      nrows: 2,
      log_mode: 'IMMUTABLE',
    })
    expect(table.path).toBe(`media/table/eval/answers_${values._step}_${sha256.slice(0, 20)}.table.json`)
    return [{ line: values._step!, step: values['train/global_step']!, path: table.path, content }]
  })
}

describe('answers', () => {
  it('are a table, a file beside the log', async () => {
    const out = join(folder, 'answers')
    await go(wandb({ settings: wandbSettings({ WANDB_MODE: 'offline', NETRC: '/nowhere' }), name: null }), withAnswers(eventsOf(out, 0, 4)))
    const tables = tablesIn(out)
    expect(tables.map(({ step }) => step)).toEqual([2, 4])
    for (const { step, content } of tables) {
      // its bytes are UTF-8 whatever the texts are, and give them back
      expect(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))).toEqual({
        columns: ['step', 'prompt', 'answer', 'ending'],
        data: rowsAt(step),
      })
    }
    // it is one of the files that wandb sync uploads
    const names = recordsOf(readFileSync(logged(out).path))!.map((one) => Buffer.from(one.content).toString('latin1'))
    for (const { path } of tables) expect(names.filter((text) => text.includes(path)).length).toBeGreaterThanOrEqual(3) // files, history, summary
  })
})

describe('online', () => {
  let server: FakeWandb
  beforeEach(async () => {
    server = await fakeWandb()
  })
  afterEach(() => server.close())
  const settings = (more: NodeJS.ProcessEnv = {}) =>
    wandbSettings({ WANDB_API_KEY: KEY, WANDB_BASE_URL: server.url, WANDB_PROJECT: 'birds', WANDB_HTTP_TIMEOUT: '0.5', ...more })
  const tracker = (more: NodeJS.ProcessEnv = {}, patience = 30) => wandb({ settings: settings(more), name: 'falcon', pace: PACE, patience })
  const theRun = () => [...server.runs.values()][0]!
  const lines = (file = 'wandb-history.jsonl') => (theRun().files.get(file) ?? []).map((line) => JSON.parse(line) as Record<string, number>)
  /** the server has what the file has: each line once, in order */
  const whole = (out: string) => {
    const { history } = logged(out)
    expect(lines()).toEqual(history)
    expect(history.map((line) => line._step)).toEqual(history.map((_, i) => i))
  }

  it('sends a run as it goes', async () => {
    const out = join(folder, 'online')
    const said = await go(tracker({ WANDB_TAGS: 'a, b', WANDB_ENTITY: 'aviary' }), eventsOf(out, 0, 10), 10)
    whole(out)
    expect(lines()).toHaveLength(16)
    expect(theRun()).toMatchObject({ displayName: 'falcon', complete: true, exitcode: 0 })
    expect(theRun().config).toMatchObject({
      learning_rate: { value: 2e-4 },
      model_type: { value: 'llama' },
      peft_config: { value: { r: 16 } },
      'model/num_parameters': { value: 139_400_000 },
      _wandb: { value: { t: {}, m: [expect.objectContaining({ 1: 'train/global_step' }), expect.anything()] } },
    })
    expect(lines('wandb-summary.json').at(-1)).toMatchObject({ 'train/loss': 0.2, 'train/global_step': 10, train_loss: 1.5, _step: 15 })
    expect(lines('wandb-events.jsonl')[0]).toMatchObject({ _wandb: true, 'system.proc.memory.rssMB': expect.any(Number) })
    expect(said).toEqual([expect.stringMatching(`^note: W&B has this run as falcon: ${server.url}/aviary/birds/runs/[a-z0-9]{8}$`)])
    const [first, second] = server.requests
    expect(first!.body.variables).toMatchObject({ project: 'birds', entity: 'aviary', tags: ['a', 'b'], displayName: 'falcon' })
    expect(first!.authorization).toBe(`Basic ${Buffer.from(`api:${KEY}`).toString('base64')}`)
    expect(second!.path).toMatch(/^\/files\/aviary\/birds\/[a-z0-9]{8}\/file_stream$/)
    // it went on the way, not at the end
    expect(server.requests.length).toBeGreaterThan(5)
  })

  it('loses nothing to errors, silence and cut connections', async () => {
    const out = join(folder, 'faults')
    server.faults.push(500, 'cut', 'hang', 503, 429)
    const run = go(tracker(), eventsOf(out, 0, 40), 15)
    for (let i = 0; i < 12; i++) {
      await wait(60)
      server.faults.push((['hang', 502, 'cut', 500] as const)[i % 4]!)
    }
    const said = await run
    whole(out)
    expect(theRun()).toMatchObject({ complete: true, exitcode: 0 })
    expect(said[0]).toMatch(/^warning: W&B \(.*\): it answers 500: status 500\. What is logged is kept in .*, and sent when it answers$/)
    expect(said.some((line) => line.includes('answers again'))).toBe(true)
  })

  it('keeps all where the server is down for the whole run, and sends it when the run goes on', async () => {
    const out = join(folder, 'down')
    server.down = 'cut'
    const said = await go(tracker({}, 0.2), eventsOf(out, 0, 6))
    expect(said.at(-1)).toMatch(
      /^warning: 10 lines of the log are not in W&B \(it can’t be reached\): nothing is lost, wandb sync .* uploads the run$/,
    )
    expect(server.runs.size).toBe(0)
    server.down = null
    await go(tracker(), eventsOf(out, 6, 8))
    whole(out)
    expect(lines()).toHaveLength(14)
  })

  describe('tables of answers', () => {
    const uploaded = (out: string) => {
      const tables = tablesIn(out)
      expect(
        [...server.uploads].map(([path, { content }]) => [path, content.equals(tables.find((one) => one.path === path)!.content)]),
      ).toEqual(tables.map(({ path }) => [path, true]))
      return tables.length
    }

    it('are uploaded before the lines that speak of them, whatever fails', async () => {
      const out = join(folder, 'tables')
      server.faults.push(500, 'cut', 'hang', 503)
      const run = go(tracker(), withAnswers(eventsOf(out, 0, 20)), 15)
      for (let i = 0; i < 8; i++) {
        await wait(50)
        server.faults.push((['cut', 502, 'hang', 500] as const)[i % 4]!)
      }
      await run
      whole(out)
      expect(uploaded(out)).toBeGreaterThanOrEqual(8)
      expect(theRun()).toMatchObject({ complete: true, exitcode: 0 })
    })

    it('are uploaded when a run goes on that could not reach the server', async () => {
      const out = join(folder, 'tables-down')
      server.down = 'cut'
      await go(tracker({}, 0.2), withAnswers(eventsOf(out, 0, 6)))
      expect(server.uploads.size).toBe(0)
      server.down = null
      await go(tracker(), withAnswers(eventsOf(out, 6, 8)))
      whole(out)
      uploaded(out)
    })

    it('that the storage refuses are told of, and the lines go on', async () => {
      const out = join(folder, 'tables-refused')
      server.storage = 403
      const said = await go(tracker(), withAnswers(eventsOf(out, 0, 4)), 5)
      whole(out)
      const lost = said.filter((line) => /^warning: W&B’s storage .*media\/table\/eval\/answers_\d+_\w+\.table\.json is not in W&B\. It is kept in /.test(line)) // biome-ignore format: short
      expect(lost).toHaveLength(tablesIn(out).length)
      expect(theRun()).toMatchObject({ complete: true, exitcode: 0 })
    })

    it('go to a storage elsewhere without the key', async () => {
      const out = join(folder, 'tables-elsewhere')
      const storage = await fakeWandb()
      server.uploadsTo = storage.url
      await go(tracker(), withAnswers(eventsOf(out, 0, 4)))
      await storage.close()
      expect(server.uploads.size).toBe(0)
      expect([...storage.uploads.values()].map(({ authorization }) => authorization)).toEqual([undefined, undefined])
      server.uploadsTo = null
      await go(tracker(), withAnswers(eventsOf(join(folder, 'tables-here'), 0, 2)))
      expect([...server.uploads.values()].map(({ authorization }) => authorization)).toEqual([`Basic ${Buffer.from(`api:${KEY}`).toString('base64')}`]) // biome-ignore format: short
    })
  })

  it('a key that is refused is told once, and nothing is tried again', async () => {
    const out = join(folder, 'refused')
    server.down = 401
    const said = await go(tracker(), eventsOf(out, 0, 6), 5)
    expect(said).toEqual([
      expect.stringMatching(/^warning: W&B \(.*\): the key is refused \(401\)\. What is logged is kept in \S+$/),
      expect.stringMatching(/^warning: 10 lines of the log are not in W&B \(the key is refused \(401\)\): nothing is lost/),
    ])
    expect(logged(out).history).toHaveLength(10)
  })

  it('a run that stops or fails says so, and goes on as the same run', async () => {
    const out = join(folder, 'stopped')
    await go(tracker(), [...eventsOf(out, 0, 4, false), endOf(4, { finished: false, stopped: 'checkpoint-4' })])
    expect(theRun()).toMatchObject({ complete: true, exitcode: 255 })
    // fails after a step
    const failing = async function* () {
      yield* slowly(eventsOf(out, 4, 6, false), 0)
      throw new Error('a card that is lost')
    }
    await expect(
      (async () => {
        for await (const _ of tracked(failing(), [tracker()]));
      })(),
    ).rejects.toThrow('a card that is lost')
    expect(theRun()).toMatchObject({ complete: true, exitcode: 1 })
    await go(tracker(), eventsOf(out, 6, 8))
    expect(theRun()).toMatchObject({ complete: true, exitcode: 0 })
    expect(server.runs.size).toBe(1)
    whole(out)
  })

  it('goes on behind the lines that a run of a given id has already', async () => {
    const env = { WANDB_RUN_ID: 'shared-id' }
    await go(tracker(env), eventsOf(join(folder, 'first'), 0, 2))
    const there = lines().length
    await go(tracker(env), eventsOf(join(folder, 'second'), 0, 2))
    await go(tracker(env), eventsOf(join(folder, 'second'), 2, 4))
    expect(lines().map((line) => line._step)).toEqual(lines().map((_, i) => i))
    expect(lines()).toHaveLength(there + logged(join(folder, 'second')).history.length)
  })

  it('keeps no process waiting once all is sent', async () => {
    const script = `
      const { wandb } = await import('${join(import.meta.dirname, '../../src/track/wandb/wandb.ts')}')
      const { wandbSettings } = await import('${join(import.meta.dirname, '../../src/track/wandb/settings.ts')}')
      const { endOf, startOf } = await import('${join(import.meta.dirname, 'start.ts')}')
      const tracker = wandb({ settings: wandbSettings(process.env), name: null, patience: 600 })
      tracker.start(startOf('${join(folder, 'waiting')}'))
      await tracker.end(endOf(4))
      await tracker.close()
      console.log(Date.now())
    `
    const env = { ...process.env, WANDB_API_KEY: KEY, WANDB_BASE_URL: server.url }
    const args = ['--import', join(import.meta.dirname, '../../tools/ts.mjs'), '--input-type=module', '-e', script]
    const run = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    let sent = ''
    run.stdout.setEncoding('utf8').on('data', (text: string) => (sent += text))
    const code = await new Promise((done) => run.on('exit', done))
    expect(code).toBe(0)
    expect(Date.now() - Number(sent)).toBeLessThan(15_000)
    expect(theRun()).toMatchObject({ complete: true })
  }, 60_000)

  it('what fails beside the server ends the run, not the process', async () => {
    const out = join(folder, 'broken')
    const events = async function* () {
      yield startOf(out)
      rmSync(join(out, 'wandb'), { recursive: true })
      writeFileSync(join(out, 'wandb'), 'in the way')
      await wait(200)
      yield logOf(1, 2)
    }
    await expect(
      (async () => {
        for await (const _ of tracked(events(), [tracker()]));
      })(),
    ).rejects.toThrow(/saqr_run\.json/)
  })

  it('a kill at any moment loses nothing', async () => {
    const out = join(folder, 'killed')
    const [child, tools] = ['wandb-child.mjs', '../../tools/ts.mjs'].map((name) => join(import.meta.dirname, name)) as [string, string]
    const env = { ...process.env, WANDB_API_KEY: KEY, WANDB_BASE_URL: server.url }
    let from = 0
    for (let kill = 0; kill < 4; kill++) {
      const run = spawn(process.execPath, ['--import', tools, child, out, String(from)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
      await new Promise<void>((done) => {
        run.stdout.on('data', () => setTimeout(() => run.kill('SIGKILL'), 40 * Math.random()))
        run.on('exit', () => done())
      })
      from += 2
    }
    await go(tracker({ WANDB_PROJECT: 'birds' }), eventsOf(out, from, from + 4))
    const steps = new Set(lines().map((line) => line['train/global_step']))
    expect(server.runs.size).toBe(1)
    whole(out)
    for (let step = 1; step <= from + 4; step++) expect(steps.has(step), `step ${step}`).toBe(true)
  }, 60_000)
})

describe('settings', () => {
  const none = { NETRC: '/nowhere' }
  it.each([
    [{}, /needs a key: set WANDB_API_KEY .* or set WANDB_MODE=offline/],
    [{ WANDB_MODE: 'cloud' }, /WANDB_MODE cloud: expected online, offline or disabled/],
    [{ WANDB_API_KEY: 'k', WANDB_BASE_URL: 'example.org' }, /WANDB_BASE_URL example.org: expected an address/],
    [{ WANDB_API_KEY: 'k', WANDB_RUN_ID: 'a/b' }, /WANDB_RUN_ID a\/b/],
    [{ WANDB_API_KEY: 'k', WANDB_RESUME: 'must' }, /WANDB_RESUME must is refused/],
    [{ WANDB_API_KEY: 'k', WANDB_LOG_MODEL: 'end' }, /WANDB_LOG_MODEL end is refused/],
    [{ WANDB_API_KEY: 'k', WANDB_WATCH: 'all' }, /WANDB_WATCH all is refused/],
    [{ WANDB_API_KEY: 'k', WANDB_HTTP_TIMEOUT: 'soon' }, /WANDB_HTTP_TIMEOUT soon/],
  ])('%o is refused', (env, message) => expect(() => wandbSettings({ ...none, ...env })).toThrow(message))

  it('takes a key that wandb login keeps', () => {
    const netrc = join(folder, 'netrc')
    writeFileSync(netrc, 'machine other.host login user password wrong\nmachine api.wandb.ai\n  login user\n  password right\n')
    expect(wandbSettings({ NETRC: netrc })).toMatchObject({ apiKey: 'right', mode: 'online', project: 'huggingface' })
    expect(() => wandbSettings({ NETRC: netrc, WANDB_BASE_URL: 'http://localhost:8080' })).toThrow(/needs a key/)
  })
})
