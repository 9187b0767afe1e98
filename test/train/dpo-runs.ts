/** DPO runs over the recorded model and its adapter, each in a folder of its own below `work`; for one file of tests. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import type { TrainEvent } from '../../src/track/events.ts'
import { DPOTrainer } from '../../src/train/dpo-trainer.ts'
import type { DPOTrainerInit } from '../../src/train/options/trainer-types.ts'

export const root = join(import.meta.dirname, '../fixtures/preference')

/** opened anew for each test; a folder for each file */
export const base = {} as { device: CpuDevice; opened: OpenedModel; work: string }

/** for a file's own use of them: before its tests */
export function eachOnABase(): void {
  beforeAll(() => {
    base.work = mkdtempSync(join(tmpdir(), 'saqr-dpo-'))
  })
  beforeEach(() => {
    base.device = new CpuDevice({ threads: 2 })
    base.opened = new OpenedModel(base.device, openCheckpoint(join(root, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
  })
  afterEach(() => base.device.dispose())
  afterAll(() => rmSync(base.work, { recursive: true, force: true }))
}

export const args = {
  learningRate: 2e-3,
  lrSchedulerType: 'constant',
  perDeviceTrainBatchSize: 4,
  maxSteps: 8,
  saveSteps: 3,
  loggingSteps: 1,
} as const

export async function trainerOf(
  outputDir: string,
  init: Partial<DPOTrainerInit> = {},
  language = loadAdapter(base.opened, join(root, 'adapter')),
) {
  const trainer = new DPOTrainer({
    model: { language },
    processingClass: new Tokenizer(base.opened.checkpoint.tokenizer!),
    trainDataset: await loadDataset(join(root, 'pairs.jsonl')),
    evalDataset: await loadDataset(join(root, 'few.jsonl')),
    ...init,
    args: { ...args, outputDir: join(base.work, outputDir), ...init.args },
  })
  return { trainer, language }
}

export async function eventsOf(trainer: DPOTrainer, stopAfter = Number.POSITIVE_INFINITY): Promise<TrainEvent[]> {
  const stop = new AbortController()
  const events: TrainEvent[] = []
  for await (const event of trainer.stream({ signal: stop.signal })) {
    events.push(event)
    if (event.type === 'step' && event.step === stopAfter) stop.abort()
  }
  return events
}

export const values = (language: LanguageModel) => language.trainables.names.map((name) => [name, [...language.trainables.get(name)]])
export const historyOf = (folder: string) =>
  JSON.parse(readFileSync(join(base.work, folder, 'checkpoint-8', 'trainer_state.json'), 'utf8')).log_history
