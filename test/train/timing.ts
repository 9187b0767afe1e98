/** Cases as tools/oracle/timing.py writes them, and what saqr's trainer does with the same arguments. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadDataset } from '../../src/data/load.ts'
import type { Device } from '../../src/devices/device.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { logEntry } from '../../src/track/events.ts'
import { camel } from '../../src/train/options/field.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'

export type Happened = { type: string; step: number } & Record<string, number | string | null>

export interface TimingCase {
  rows: number
  args: Record<string, unknown>
  events: Happened[]
}

export function timingCases(folder: string): TimingCase[] {
  return JSON.parse(readFileSync(join(folder, 'timing.json'), 'utf8'))
}

const recorded = join(import.meta.dirname, '../fixtures/training/evaluation')

/** The logs, evaluations and checkpoints of a run over the recorded model and rows, in order. */
export async function happens(device: Device, { rows, args }: TimingCase, outputDir: string): Promise<Happened[]> {
  const opened = new OpenedModel(device, openCheckpoint(join(recorded, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
  const language = loadAdapter(opened, join(recorded, 'adapter'))
  const trainer = new SFTTrainer({
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: (await loadDataset(join(recorded, 'train.jsonl'))).slice(0, rows),
    evalDataset: await loadDataset(join(recorded, 'eval.jsonl')),
    args: { ...Object.fromEntries(Object.entries(args).map(([key, value]) => [camel(key), value])), outputDir },
  })
  const list: Happened[] = []
  let last = 0
  for await (const event of trainer.stream()) {
    if (event.type === 'end') last = event.step
    if (event.type === 'save') list.push({ type: 'save', step: event.step })
    if (event.type === 'log' || event.type === 'eval') list.push({ type: event.type, ...logEntry(event) } as Happened)
  }
  const { evalLoss } = await trainer.evaluate()
  const steps = readdirSync(outputDir).flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
  const kept = steps.map(Number).sort((a, b) => a - b)
  list.push({ type: 'end', step: last, kept: kept.join(','), eval_loss: evalLoss })
  language.disposeAdapter()
  opened.dispose()
  return list
}

/** f32 rounding carried through a few steps, as test/parity/training.test.ts has it */
const CURVE = 1e-4

/** What differs, by name; nothing where the two runs are alike. */
export function differ(ours: readonly Happened[], { events }: TimingCase): string[] {
  const order = (list: readonly Happened[]) =>
    list.map(({ type, step, kept }) => `${type} ${step}${kept === undefined ? '' : ` kept ${kept}`}`).join(', ')
  if (order(ours) !== order(events)) return [`${order(ours)} instead of ${order(events)}`]
  return events.flatMap((event, i) =>
    Object.entries(event)
      .filter(([key, value]) => typeof value === 'number' && !key.startsWith('best_'))
      .filter(([key, value]) => !(Math.abs(Number(ours[i]![key]) - Number(value)) <= CURVE * Math.max(1, Math.abs(Number(value)))))
      .map(([key, value]) => `${event.type} ${event.step} ${key}: ${ours[i]![key]} instead of ${value}`),
  )
}
