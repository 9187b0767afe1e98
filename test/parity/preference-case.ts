/** A run as tools/oracle/preference.py writes it, trained here, and how far from TRL's log that ends. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { logEntry } from '../../src/track/events.ts'
import { CPOTrainer } from '../../src/train/cpo-trainer.ts'
import { DPOTrainer } from '../../src/train/dpo-trainer.ts'
import { KTOTrainer } from '../../src/train/kto-trainer.ts'
import { camel } from '../../src/train/options/field.ts'
import { ORPOTrainer } from '../../src/train/orpo-trainer.ts'

interface Recorded {
  trainer: keyof typeof trainers
  /** false: every weight is trained */
  adapter: boolean
  reference: 'base' | null
  /** names of files of rows */
  rows: string
  evaluation: string | null
  args: Record<string, unknown>
  log: Record<string, number>[]
}

const trainers = { dpo: DPOTrainer, orpo: ORPOTrainer, kto: KTOTrainer, cpo: CPOTrainer }

export interface Off {
  what: string
  off: number
  allowed: number
}

/** Everything TRL logged beside what was logged here. `args`: beside those recorded. */
export async function offOfRun(root: string, name: string, args: Record<string, unknown> = {}): Promise<Off[]> {
  const recorded = JSON.parse(readFileSync(join(root, 'runs', name), 'utf8')) as Recorded
  const log = await trained(root, recorded, args)
  const found: Off[] = [{ what: 'entries', off: Math.abs(log.length - recorded.log.length), allowed: 0 }]
  for (const [i, entry] of recorded.log.entries()) {
    // TRL's ORPO and CPO don't count tokens, and don't log the balance loss that theirs includes
    const timeless = Object.keys(log[i]!).filter((key) => !/runtime|per_second|busiest_expert|idlest_expert/.test(key))
    const counted = timeless.filter((key) => !['orpo', 'cpo'].includes(recorded.trainer) || !/(num_tokens|aux_loss)$/.test(key))
    const names = [Object.keys(entry).filter((key) => !(key in log[i]!)), counted.filter((key) => !(key in entry))]
    found.push({ what: `names of entry ${i}: not ${names[0]}, too many ${names[1]}`, off: names.flat().length, allowed: 0 })
    for (const [key, value] of Object.entries(entry)) {
      // f32 rounding carried through ten steps; the losses of WPO are small as a whole
      const size = Math.abs(value)
      const allowed = 1e-4 * (recorded.args.use_weighting && key === 'loss' ? size : Math.max(1, size))
      found.push({ what: `${key} of entry ${i}`, off: Math.abs((log[i]![key] ?? Number.NaN) - value), allowed })
    }
  }
  return found
}

async function trained(root: string, recorded: Recorded, args: Record<string, unknown>): Promise<Record<string, number>[]> {
  const outputDir = mkdtempSync(join(tmpdir(), 'saqr-'))
  const device = new CpuDevice({ threads: 2 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(join(root, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
    const language = recorded.adapter ? loadAdapter(opened, join(root, 'adapter')) : new LanguageModel(opened, { kind: 'full' }, 0)
    const rows = (name: string) => loadDataset(join(root, `${name}.jsonl`))
    const trainer = new trainers[recorded.trainer]({
      model: { language },
      processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
      trainDataset: await rows(recorded.rows),
      evalDataset: recorded.evaluation ? await rows(recorded.evaluation) : null,
      ...(recorded.reference === 'base' ? { refModel: { language: new LanguageModel(opened, { kind: 'none' }, 0) } } : {}),
      args: { ...Object.fromEntries(Object.entries(recorded.args).map(([key, value]) => [camel(key), value])), ...args, outputDir },
    })
    const log: Record<string, number>[] = []
    for await (const event of trainer.stream()) if (event.type === 'log' || event.type === 'eval') log.push(logEntry(event))
    return log
  } finally {
    device.dispose()
    rmSync(outputDir, { recursive: true })
  }
}
