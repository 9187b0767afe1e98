/** A case as tools/oracle/families.py writes it, and saqr's side of it: loss, log-probabilities and gradients on any device. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AdapterSpec } from '../../src/adapters/choose.ts'
import type { Example } from '../../src/data/example.ts'
import { planPasses } from '../../src/data/passes.ts'
import type { Device } from '../../src/devices/device.ts'
import { settledSpec } from '../../src/engine/adapter-modules.ts'
import type { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { PassRunner } from '../../src/engine/runner.ts'
import { Trainables } from '../../src/engine/trainables.ts'
import { readAdapterConfig } from '../../src/formats/peft/config.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import type { Policy } from '../../src/graph/recompute.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { SCORES } from '../../src/ops/target-log-probs/op.ts'
import { sft } from '../../src/train/objectives/sft.ts'
import { coefficientOf, termScale, wholeBatches, withTerm } from '../../src/train/objectives/term.ts'

export interface Expected {
  targets: number
  /** micro-batches by the numbers of their rows, where a row isn't one */
  batches?: number[][]
  loss: number
  gradients: Record<string, { norm: number; distance: number }>
}

export function readTensors(path: string): Map<string, Float32Array> {
  const bytes = readFileSync(path)
  const values = new Map<string, Float32Array>()
  for (const [name, { offset, bytes: size }] of readSafetensors(path).tensors) {
    values.set(name, new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + size)))
  }
  return values
}

export function rowsOf(folder: string): Example[] {
  const rows = JSON.parse(readFileSync(join(folder, 'rows.json'), 'utf8')) as { ids: number[]; targets: number[] }[]
  return rows.map(({ ids, targets }, i) => ({ ids: Int32Array.from(ids), targets: Uint8Array.from(targets), row: i + 1, source: folder }))
}

export function expectedOf(folder: string): Expected {
  return JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected
}

export function batchesOf(folder: string): Example[][] {
  const rows = rowsOf(folder)
  return expectedOf(folder).batches?.map((batch) => batch.map((i) => rows[i]!)) ?? rows.map((row) => [row])
}

export function adapterOf(folder: string): AdapterSpec {
  const adapter = join(folder, 'adapter')
  return existsSync(adapter) ? { kind: 'lora', config: readAdapterConfig(adapter) } : { kind: 'full' }
}

export interface Computed {
  loss: number
  /** as PEFT names them in adapter_model.safetensors; full: the checkpoint's names */
  gradients: Map<string, Float32Array>
}

export interface CaseOptions {
  policy?: Policy
  prefixSharing?: boolean
  maxPassTokens?: number
  dtype?: 'f32' | 'bf16'
  /** weights in NF4, those with the codes that the files have */
  loadIn4bit?: boolean
  /** default: the case's own; tensors are named, and their values taken, as the case's own has them */
  adapter?: AdapterSpec
}

/** One step's loss and gradients of the case on this device, which holds it from then on. */
export async function compute(folder: string, device: Device, options: CaseOptions = {}): Promise<Computed> {
  const { policy = 'all', prefixSharing = false, maxPassTokens = 512, dtype = 'f32', loadIn4bit = false } = options
  const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype, loadIn4bit, doubleQuant: false })
  const spec = settledSpec(options.adapter ?? adapterOf(folder), opened.model)
  const recorder = opened.inspect(spec)
  opened.loadFor(recorder)
  const layout = layoutParameters(recorder.parameters.values())
  const trainables = new Trainables(device, layout, opened.checkpoint, 0)
  const prefix = spec.kind === 'lora' ? 'base_model.model.' : ''
  if (spec.kind === 'lora') {
    const saved = readTensors(join(folder, 'adapter', 'adapter_model.safetensors'))
    for (const name of trainables.names) {
      const values = saved.get(prefix + name)
      if (!values) throw new Error(`the adapter has no ${name}`)
      trainables.setFromFile(name, values)
    }
  }
  const term = coefficientOf(opened.model, { routerAuxLossCoef: null }, sft)
  const objective = withTerm(sft, opened.model, term)
  const batches = batchesOf(folder)
  const whole = wholeBatches(term, batches.length)
  const runner = new PassRunner(device, {
    model: opened.model,
    adapter: opened.adapter(spec, true),
    activation: dtype,
    layout,
    chunk: 16,
    policy: () => () => policy,
    score: objective.score,
    term: { batches: whole ?? 1, trained: term !== 0 },
    gradients: true,
  })
  const cut = {
    maxPassTokens,
    prefixSharing,
    quantum: device.describe().tokenQuantum,
    longBeyond: opened.model.longBeyond,
    wholeBatches: whole,
  }
  const laid = objective.layOut(batches, cut)
  const targets = laid.normaliser
  let loss = 0
  const step = { seed: 0, step: 0, lossScale: 1 / targets, termScale: termScale(term, batches.length) }
  for (const pass of laid.passes) loss += objective.loss.sum(pass, await runner.run(pass, step), laid)
  const gradients = new Map(trainables.names.map((name) => [prefix + name, trainables.inFile(name, 'gradients')]))
  return { loss: loss / targets, gradients }
}

/** ‖a − b‖₂ / ‖b‖₂ */
export function distance(a: Float32Array, b: Float32Array): number {
  let d = 0
  let n = 0
  for (let i = 0; i < b.length; i++) {
    d += (a[i]! - b[i]!) ** 2
    n += b[i]! ** 2
  }
  return Math.sqrt(d / n)
}

/** log-probabilities of the case's targets, in f32 */
export async function logProbabilities(device: Device, model: LanguageModel, folder: string): Promise<Float32Array> {
  const runner = new PassRunner(device, {
    model: model.opened.model,
    adapter: model.opened.adapter(model.spec, false),
    activation: 'f32',
    layout: model.trained?.layout ?? { scope: '', size: 0, entries: new Map() },
    policy: () => () => 'all',
    score: sft.score,
    gradients: false,
  })
  const [pass] = planPasses(rowsOf(folder), { maxPassTokens: 512, quantum: 16 })
  const { entries } = await runner.run(pass!, { seed: 0, step: 0, lossScale: 0 })
  return entries.filter((_, i) => i % SCORES === 0)
}
