/** Thirty optimizer steps against TRL's SFTTrainer in f32, as recorded by tools/oracle/training.py: same rows, same order, same numbers. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { camel } from '../../src/train/options/field.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'
import { readTensors } from './family-case.ts'

const root = join(import.meta.dirname, '../fixtures/training')
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

async function train(folder: string, outputDir: string) {
  const device = new CpuDevice({ threads: 2 })
  const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
  const adapter = join(folder, 'adapter')
  const language = existsSync(adapter) ? loadAdapter(opened, adapter) : new LanguageModel(opened, { kind: 'full' }, 0)
  const initial = new Map(language.trainables.names.map((name) => [name, language.trainables.get(name)]))
  const args = Object.fromEntries(Object.entries(json(join(folder, 'args.json'))).map(([key, value]) => [camel(key), value]))
  const evalRows = join(folder, 'eval.jsonl')
  const trainer = new SFTTrainer({
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: await loadDataset(join(folder, 'train.jsonl')),
    evalDataset: existsSync(evalRows) ? await loadDataset(evalRows) : null,
    args: { ...args, outputDir },
  })
  await trainer.train()
  const final = new Map(language.trainables.names.map((name) => [name, language.trainables.get(name)]))
  device.dispose()
  return { initial, final, kind: language.spec.kind }
}

/** f32 rounding carried through thirty steps */
const CURVE = 1e-4

const RATES = ['entropy', 'mean_token_accuracy']
const KEYS = [
  'loss',
  'grad_norm',
  'learning_rate',
  'epoch',
  'num_tokens',
  'eval_loss',
  'eval_num_tokens',
  ...RATES.flatMap((rate) => [rate, `eval_${rate}`]),
]

describe.each(readdirSync(root))('%s', (name) => {
  const folder = join(root, name)
  it('has the losses, gradient norms, learning rates and final weights of TRL', async () => {
    const outputDir = mkdtempSync(join(tmpdir(), 'saqr-'))
    try {
      const { initial, final, kind } = await train(folder, outputDir)
      const theirs = json(join(folder, 'log_history.json')) as Record<string, number>[]
      const ours = json(join(outputDir, 'checkpoint-30', 'trainer_state.json')).log_history as Record<string, number>[]
      const logged = theirs.filter((entry) => entry.train_runtime === undefined)
      expect(ours.map((entry) => entry.step)).toEqual(logged.map((entry) => entry.step))
      for (const [i, entry] of logged.entries()) {
        for (const key of KEYS) {
          if (entry[key] === undefined) continue
          expect(Math.abs(ours[i]![key]! - entry[key]), `${key} of step ${entry.step}`).toBeLessThan(
            CURVE * Math.max(1, Math.abs(entry[key])),
          )
        }
      }
      const expected = readTensors(join(folder, 'final', kind === 'lora' ? 'adapter_model.safetensors' : 'model.safetensors'))
      for (const [key, values] of final) {
        const reference = expected.get(kind === 'lora' ? `base_model.model.${key}` : key)!
        let off = 0
        let change = 0
        values.forEach((x, i) => {
          off += (x - reference[i]!) ** 2
          change += (reference[i]! - initial.get(key)![i]!) ** 2
        })
        expect(Math.sqrt(off / change), key).toBeLessThan(1e-3)
      }
    } finally {
      rmSync(outputDir, { recursive: true })
    }
  })
})
