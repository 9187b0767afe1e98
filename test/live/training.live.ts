/** Thirty optimizer steps from other weights than those recorded, against TRL's SFTTrainer as it is installed, in f32: what it logs and where it ends. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { distance, readTensors } from '../parity/family-case.ts'
import { oracle } from './oracle.ts'
import { json, train } from './train.ts'

const root = await oracle('training', '--seed', '1')
/** f32 rounding carried through thirty steps; TRL's own, against f64, is 2e-5 at most (tools/oracle/README.md) */
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

it.each(readdirSync(root))('%s', async (name) => {
  const folder = join(root, name)
  const evalRows = join(folder, 'eval.jsonl')
  const { kind, log, initial, final } = await train({ folder, evalRows: existsSync(evalRows) ? evalRows : undefined })
  const theirs = (json(join(folder, 'log_history.json')) as Record<string, number>[]).filter((entry) => entry.train_runtime === undefined)
  expect(log.map(({ step }) => step)).toEqual(theirs.map(({ step }) => step))
  for (const [i, entry] of theirs.entries()) {
    for (const key of KEYS) {
      if (entry[key] === undefined) continue
      expect(Math.abs(log[i]![key]! - entry[key]), `${key} of step ${entry.step}`).toBeLessThan(CURVE * Math.max(1, entry[key]))
    }
  }
  const saved = readTensors(join(folder, 'final', kind === 'lora' ? 'adapter_model.safetensors' : 'model.safetensors'))
  expect(final.size).toBe(saved.size)
  const change = (from: Float32Array, to: Float32Array) => to.map((x, i) => x - from[i]!)
  for (const [key, values] of final) {
    const reference = saved.get(kind === 'lora' ? `base_model.model.${key}` : key)!
    const first = initial.get(key)!
    expect(distance(change(first, values), change(first, reference)), key).toBeLessThan(1e-3)
  }
})
