/** saqr's side of a training oracle: the same rows, arguments and first values through SFTTrainer. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { type BaseChoice, OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { camel } from '../../src/train/options/field.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'

export const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

export interface Training {
  /** with model/ unless `model` says otherwise, adapter/, args.json, train.jsonl */
  folder: string
  model?: string
  evalRows?: string
  choice?: Partial<BaseChoice>
  /** beside args.json's, in camelCase */
  args?: Record<string, unknown>
}

export interface Trained {
  kind: 'lora' | 'full'
  log: Record<string, number>[]
  initial: Map<string, Float32Array>
  final: Map<string, Float32Array>
}

export async function train({ folder, model = join(folder, 'model'), evalRows, choice, args }: Training): Promise<Trained> {
  const outputDir = mkdtempSync(join(tmpdir(), 'saqr-out-'))
  const device = new CpuDevice({ threads: 2 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(model), { dtype: 'f32', loadIn4bit: false, doubleQuant: false, ...choice })
    const adapter = join(folder, 'adapter')
    const language = existsSync(adapter) ? loadAdapter(opened, adapter) : new LanguageModel(opened, { kind: 'full' }, 0)
    const values = () => new Map(language.trainables.names.map((name) => [name, language.trainables.get(name)]))
    const initial = values()
    const given = Object.fromEntries(Object.entries(json(join(folder, 'args.json'))).map(([key, value]) => [camel(key), value]))
    const trainer = new SFTTrainer({
      model: { language },
      processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
      trainDataset: await loadDataset(join(folder, 'train.jsonl')),
      evalDataset: evalRows ? await loadDataset(evalRows) : null,
      args: { ...given, ...args, outputDir },
    })
    const { globalStep } = await trainer.train()
    const log = json(join(outputDir, `checkpoint-${globalStep}`, 'trainer_state.json')).log_history
    return { kind: language.spec.kind === 'lora' ? 'lora' : 'full', log, initial, final: values() }
  } finally {
    device.dispose()
    rmSync(outputDir, { recursive: true })
  }
}
