import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wandbFile } from '../../src/track/wandb/file.ts'
import { framed, HEADER, recordsOf } from '../../src/track/wandb/log.ts'
import { lineOf, read } from '../../src/track/wandb/records.ts'
import { wandbSettings } from '../../src/track/wandb/settings.ts'
import { wandb } from '../../src/track/wandb/wandb.ts'
import { endOf, logOf, startOf } from './start.ts'
import { eventsOf, go, logged, rowsAt, tablesIn, withAnswers } from './wandb-run.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-wandb-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

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
