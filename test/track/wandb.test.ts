/** A run that is sent to W&B: nothing is lost whatever the server or the process does. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { tracked } from '../../src/track/tracker.ts'
import { wandbSettings } from '../../src/track/wandb/settings.ts'
import { wandb } from '../../src/track/wandb/wandb.ts'
import { endOf, logOf, startOf } from './start.ts'
import { eventsOf, go, logged, slowly, tablesIn, wait, withAnswers } from './wandb-run.ts'
import { type FakeWandb, fakeWandb } from './wandb-server.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-wandb-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const KEY = 'a-key'
const PACE = { interval: 0.01, retry: 0.01, slowest: 0.05, heartbeat: 0.2 }

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
    // no fault here: an answer may take what a busy machine takes
    const said = await go(tracker({ WANDB_TAGS: 'a, b', WANDB_ENTITY: 'aviary', WANDB_HTTP_TIMEOUT: '20' }), eventsOf(out, 0, 10), 10)
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

  it('says what the end of a run waits for while it waits', async () => {
    const out = join(folder, 'waits')
    server.down = 'cut'
    const heard: [string, number][] = []
    for await (const event of tracked(slowly(eventsOf(out, 0, 2), 0), [tracker({}, 1.6)]))
      if ('message' in event) heard.push([event.message, performance.now()])
    const [waiting, lost] = heard.slice(-2)
    expect(waiting![0]).toBe(`the end of the run waits for W&B (${server.url}), up to 1.6 s`)
    expect(lost![0]).toMatch(/^4 lines of the log are not in W&B/)
    // heard once the wait is a second old, half a second and more before it is over
    expect(lost![1] - waiting![1]).toBeGreaterThan(300)
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
