/** A case as tools/oracle/training.py writes it, trained on any device, and how far from TRL's log and final weights that ends. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadDataset } from '../../src/data/load.ts'
import type { Device } from '../../src/devices/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { camel } from '../../src/train/options/field.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'
import { readTensors } from './family-case.ts'

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

interface Trained {
  initial: Map<string, Float32Array>
  final: Map<string, Float32Array>
  kind: string
  /** trainer_state.json's, without the entry of the whole run */
  history: Record<string, number>[]
}

/** @param more options beside the recorded ones: of how passes are cut */
export async function trainCase(folder: string, outputDir: string, device: Device, more: object = {}): Promise<Trained> {
  const base = join(folder, 'base.json')
  const { load_in_4bit: loadIn4bit, use_bnb_nested_quant: doubleQuant } = existsSync(base) ? json(base) : { load_in_4bit: false, use_bnb_nested_quant: false } // biome-ignore format: short
  const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit, doubleQuant })
  const adapter = join(folder, 'adapter')
  const language = existsSync(adapter) ? loadAdapter(opened, adapter) : new LanguageModel(opened, { kind: 'full' }, 0)
  const initial = new Map(language.trainables.names.map((name) => [name, language.trainables.inFile(name)]))
  const args = Object.fromEntries(Object.entries(json(join(folder, 'args.json'))).map(([key, value]) => [camel(key), value]))
  const evalRows = join(folder, 'eval.jsonl')
  const trainer = new SFTTrainer({
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: await loadDataset(join(folder, 'train.jsonl')),
    evalDataset: existsSync(evalRows) ? await loadDataset(evalRows) : null,
    args: { ...args, ...more, outputDir },
  })
  await trainer.train()
  const final = new Map(language.trainables.names.map((name) => [name, language.trainables.inFile(name)]))
  const history = json(join(outputDir, 'checkpoint-30', 'trainer_state.json')).log_history
  return { initial, final, kind: language.spec.kind, history }
}

/** f32 rounding carried through thirty steps */
const CURVE = 1e-4

const RATES = ['entropy', 'mean_token_accuracy', 'aux_loss']
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

export interface Off {
  what: string
  off: number
  allowed: number
}

/**
 * Everything TRL logged, and the trained tensors: distances of their whole change.
 *
 * Why 1e-3 of it, where the losses agree to 1e-6: AdamW's first step is η · g / (|g| + ε) with ε = 1e-8, so an element whose gradient is no larger than rounding
 * moves by what rounding made of it: two right computations whose g differ by δ there end up η · min(2, δ / ε) apart, and stay so. In the case deepseek-v3 one
 * element of 128 of q_a_proj.lora_A is such a one: 1.0e-5 off, 0.034 η, which is 5.8e-4 of the tensor's change (0.0175; both grow with η, so a smaller rate
 * makes it no better); no other element of any tensor is more than 2.7e-7 off. What follows of it in the losses does grow with η:
 * that case has 3e-4 for it (tools/oracle/README.md, routes.py).
 * @param recorded the files' own seeds, on the CPU: but for such an element, all of a tensor is within 1e-4 of its change
 */
export function offOf(folder: string, { initial, final, kind, history }: Trained, recorded = false): Off[] {
  const theirs = json(join(folder, 'log_history.json')) as Record<string, number>[]
  const logged = theirs.filter((entry) => entry.train_runtime === undefined)
  const found: Off[] = [{ what: 'entries of the log', off: Math.abs(history.length - logged.length), allowed: 0 }]
  for (const [i, entry] of logged.entries()) {
    found.push({ what: `step of entry ${i}`, off: Math.abs((history[i]?.step ?? Number.NaN) - entry.step!), allowed: 0 })
    for (const key of KEYS) {
      if (entry[key] === undefined) continue
      const off = Math.abs((history[i]?.[key] ?? Number.NaN) - entry[key])
      found.push({ what: `${key} of step ${entry.step}`, off, allowed: CURVE * Math.max(1, Math.abs(entry[key])) })
    }
  }
  const { composite, pieces } = openConfig(json(join(folder, 'model', 'config.json')))
  const stored = readTensors(join(folder, 'final', kind === 'lora' ? 'adapter_model.safetensors' : 'model.safetensors'))
  const expected = new Map([...stored].map(([name, values]) => [kind === 'full' && composite ? composite.renamed(name) : name, values]))
  /** what the file keeps in pieces */
  const joined = (key: string) => pieces?.(key).flatMap((names) => names.flatMap((name) => [...(expected.get(name) ?? [])]))
  for (const [key, values] of final) {
    const reference = expected.get(kind === 'lora' ? `base_model.model.${key}` : key) ?? joined(key)!
    let off = 0
    let farthest = 0
    let change = 0
    values.forEach((x, i) => {
      off += (x - reference[i]!) ** 2
      farthest = Math.max(farthest, (x - reference[i]!) ** 2)
      change += (reference[i]! - initial.get(key)![i]!) ** 2
    })
    found.push({ what: key, off: Math.sqrt(off / change), allowed: 1e-3 })
    if (recorded)
      found.push({ what: `${key} but for its farthest element`, off: Math.sqrt(Math.max(0, off - farthest) / change), allowed: 1e-4 })
  }
  return found
}
