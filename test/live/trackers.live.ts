/** A run, stopped and gone on with, as the packages wandb and tensorboard read it, record by record, and as wandb sync uploads it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FastLanguageModel, loadDataset, SFTTrainer } from '../../src/index.ts'
import { logEntry } from '../../src/track/events.ts'
import type { TableFile } from '../../src/track/wandb/table.ts'
import { fakeWandb } from '../track/wandb-server.ts'
import { oracle } from './oracle.ts'
import { json } from './train.ts'

const fixture = join(import.meta.dirname, '../fixtures/training/linear-warmup')
const root = join(import.meta.dirname, '../..')
const out = mkdtempSync(join(tmpdir(), 'saqr-trackers-'))
const beside = mkdtempSync(join(tmpdir(), 'saqr-trackers-'))
const prompts = join(beside, 'prompts.txt')
writeFileSync(prompts, 'the falcon\nصقر\n')
afterAll(() => {
  for (const folder of [out, beside]) rmSync(folder, { recursive: true })
})

type Line = Record<string, number>
/** a record as JSON */
type Recorded = Record<string, { item?: Item[]; update?: Item[] } & Record<string, unknown>>
type Item = { key?: string; value_json: string }

let records: Recorded[]
let boards: { scalars: Record<string, [number, number][]>; texts: Record<string, string[]> }[]
/** log_history of the whole run, its end too */
let history: Line[]
beforeAll(async () => {
  process.env.WANDB_MODE = 'offline'
  const { model: base } = await FastLanguageModel.fromPretrained(join(fixture, 'model'), { dtype: 'f32', loadIn4bit: false })
  const model = FastLanguageModel.getPeftModel(base, { r: 4, randomState: 1 })
  const rows = await loadDataset(join(fixture, 'train.jsonl'))
  const trainer = new SFTTrainer({
    model,
    trainDataset: rows,
    evalDataset: rows.select([0, 1, 2, 3]),
    args: {
      ...{ maxSteps: 12, perDeviceTrainBatchSize: 4, loggingSteps: 2, evalStrategy: 'steps', evalSteps: 4, saveSteps: 4 },
      ...{ outputDir: out, reportTo: ['wandb', 'tensorboard'], runName: 'falcon', evalPrompts: prompts },
    },
  })
  // the second half of the way to step 8 is done twice
  for await (const event of trainer.stream()) if (event.type === 'step' && event.step === 7) break
  rmSync(join(out, 'checkpoint-7'), { recursive: true })
  const { metrics } = await trainer.train({ resumeFromCheckpoint: true })
  await base.dispose()
  history = json(join(out, 'checkpoint-12', 'trainer_state.json')).log_history
  history.push(
    logEntry({
      type: 'end',
      step: 12,
      metrics,
      finished: true,
      checkpoint: null,
      stopped: null,
      usage: { tokens: 0, peakBytes: 0 },
      whole: { tokens: 0, loss: null },
    }),
  )
  const read = json(join(await oracle('trackers', out), 'trackers.json'))
  records = Object.values(read.wandb).flat() as Recorded[]
  boards = Object.values(read.tensorboard)
})

const valuesOf = (items: Item[] = []): Line => Object.fromEntries(items.map(({ key, value_json }) => [key!, JSON.parse(value_json)]))
const of = (kind: string) => records.filter((one) => kind in one).map((one) => one[kind]!)
const grouped = (name: string) => (name.startsWith('eval_') ? `eval/${name.slice(5)}` : `train/${name}`)
/** what transformers' callbacks make of an entry of log_history */
const named = ({ step, ...entry }: Line) =>
  [step!, Object.fromEntries(Object.entries(entry).map(([key, value]) => [grouped(key), value]))] as const

describe('wandb', () => {
  it('reads one run in one file', () => {
    const kinds = records.map((one) => Object.keys(one).find((key) => !['num', '_info'].includes(key)))
    expect(kinds.slice(0, 6)).toEqual(['header', 'run', 'environment', 'config', 'metric', 'metric'])
    expect(kinds.at(-1)).toBe('exit')
    expect(kinds.filter((kind) => kind === 'exit')).toHaveLength(1)
    expect(records.map((one) => Number(one.num))).toEqual(records.map((_, i) => i + 1))
    expect(of('run')[0]).toMatchObject({ project: 'huggingface', display_name: 'falcon' })
    expect(valuesOf(of('config')[0]!.update)).toMatchObject({
      learning_rate: 2e-5,
      model_type: 'llama',
      peft_config: { r: 4, peft_type: 'LORA' },
    })
    expect(of('stats').length).toBeGreaterThanOrEqual(2)
  })

  it('every log and evaluation, by transformers’ names', () => {
    const lines = of('history').map(({ item }) => valuesOf(item))
    expect(lines.map((line) => line._step)).toEqual(lines.map((_, i) => i))
    for (const [step, values] of history.slice(0, -1).map(named))
      expect(lines).toContainEqual(expect.objectContaining({ ...values, 'train/global_step': step }))
    const summary = Object.assign({}, ...of('summary').map(({ update }) => valuesOf(update)))
    const { step, epoch, ...last } = history.at(-1)!
    expect(summary).toMatchObject({ ...last, 'train/epoch': epoch, 'train/global_step': step })
  })

  it('tables of answers', () => {
    const lines = of('history').map(({ item }) => valuesOf(item) as Record<string, unknown>)
    const tables = lines.flatMap((line) =>
      line['eval/answers'] ? [line as { 'eval/answers': TableFile; 'train/global_step': number }] : [],
    )
    // the second half of the way to step 8 is done twice, its evaluation once
    expect(tables.map((line) => line['train/global_step'])).toEqual([4, 8, 12])
    const [run] = readdirSync(join(out, 'wandb'))
    const paths = of('files').flatMap(({ files }) => (files as { path: string }[]).map(({ path }) => path))
    expect(paths).toEqual(tables.map((line) => line['eval/answers'].path))
    for (const line of tables) {
      const { path, size } = line['eval/answers']
      const content = readFileSync(join(out, 'wandb', run!, 'files', path))
      expect(content.length).toBe(size)
      const { columns, data } = JSON.parse(content.toString())
      expect(columns).toEqual(['step', 'prompt', 'answer', 'ending'])
      expect((data as unknown[][]).map((row) => row.slice(0, 2))).toEqual([[line['train/global_step'], 'the falcon'], [line['train/global_step'], 'صقر']]) // biome-ignore format: short
    }
    const summary = Object.assign({}, ...of('summary').map(({ update }) => valuesOf(update)))
    expect(summary['eval/answers']).toEqual(tables.at(-1)!['eval/answers'])
  })

  it('wandb sync uploads it', async () => {
    const server = await fakeWandb()
    const [run] = readdirSync(join(out, 'wandb'))
    // the module: a script of the environment names the interpreter that it was made with
    await promisify(execFile)(join(root, '.venv/bin/python'), ['-m', 'wandb', 'sync', '--entity', 'aviary', join(out, 'wandb', run!)], {
      cwd: out,
      env: { ...process.env, WANDB_BASE_URL: server.url, WANDB_API_KEY: '0'.repeat(40), WANDB_ERROR_REPORTING: 'false' },
    })
    await server.close()
    const [uploaded] = [...server.runs.values()]
    expect(uploaded).toMatchObject({ displayName: 'falcon', complete: true, exitcode: 0 })
    const tables = of('files').flatMap(({ files }) => (files as { path: string }[]).map(({ path }) => path))
    for (const path of tables)
      expect(server.uploads.get(path)?.content.equals(readFileSync(join(out, 'wandb', run!, 'files', path))), path).toBe(true)
    expect(uploaded!.files.get('wandb-history.jsonl')!.map((line) => JSON.parse(line))).toEqual(
      of('history').map(({ item }) => valuesOf(item)),
    )
  })
})

describe('tensorboard', () => {
  it('reads one run, each step once', () => {
    expect(boards).toHaveLength(1)
    const [{ scalars, texts }] = boards as [(typeof boards)[0]]
    const expected: Record<string, [number, number][]> = {}
    for (const [step, values] of history.map(named))
      for (const [name, value] of Object.entries(values)) (expected[name] ??= []).push([step, Math.fround(value)])
    for (const [name, points] of Object.entries(expected)) expect(scalars[name], name).toEqual(points)
    // beside what transformers logs
    expect(Object.keys(scalars).filter((name) => !(name in expected))).toEqual(['train/tokens_per_second'])
    expect(JSON.parse(texts['args/text_summary']!.at(-1)!)).toMatchObject({ learning_rate: 2e-5, report_to: ['wandb', 'tensorboard'] })
    expect(JSON.parse(texts['model_config/text_summary']![0]!)).toEqual(json(join(fixture, 'model/config.json')))
  })
})
