/** A small model trained on any device: one step's gradients, or a loss curve. What the checks of test:cuda compare. */
import { join } from 'node:path'
import type { AdapterSpec } from '../../src/adapters/choose.ts'
import type { Device } from '../../src/devices/device.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { Optimizer } from '../../src/engine/optimizer.ts'
import { PassRunner } from '../../src/engine/runner.ts'
import { Trainables } from '../../src/engine/trainables.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import type { Policy } from '../../src/graph/recompute.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { sft } from '../../src/train/objectives/sft.ts'
import { adapterOf, readTensors, rowsOf } from '../../test/parity/family-case.ts'

export interface Setup {
  /** a folder as tools/oracle/families.py writes it: model, adapter, rows.json */
  folder: string
  dtype: 'f32' | 'bf16'
  loadIn4bit: boolean
  eightBit: boolean
  policy: Policy
  /** of the adapter's inputs; default: the case's own, none */
  dropout?: number
  /** as on the device that pads the most, so that every device computes the same passes */
  quantum: number
}

export interface Trained {
  /** of every step */
  losses: number[]
  norms: number[]
  /** of the first step */
  gradients: Map<string, Float32Array>
  parameters: Map<string, Float32Array>
}

/** `steps` updates with AdamW on the case's rows; the first step's gradients are kept. */
export async function train(device: Device, setup: Setup, steps: number): Promise<Trained> {
  const { folder, dtype, loadIn4bit, eightBit, policy, quantum, dropout } = setup
  const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype, loadIn4bit, doubleQuant: true })
  const given: AdapterSpec = adapterOf(folder)
  const spec: AdapterSpec = given.kind === 'lora' && dropout ? { ...given, config: { ...given.config, loraDropout: dropout } } : given
  const recorder = opened.inspect(spec)
  opened.loadFor(recorder)
  const layout = layoutParameters(recorder.parameters.values())
  const trainables = new Trainables(device, layout, opened.checkpoint, 0)
  if (spec.kind === 'lora') {
    const saved = readTensors(join(folder, 'adapter', 'adapter_model.safetensors'))
    for (const name of trainables.names) trainables.set(name, saved.get(`base_model.model.${name}`)!)
  }
  const adapter = opened.adapter(spec, true)
  const runner = new PassRunner(device, {
    model: opened.model,
    adapter,
    activation: dtype,
    layout,
    chunk: 16,
    policy: () => () => policy,
    score: sft.score,
    gradients: true,
  })
  const optimizer = new Optimizer(device, layout, {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: 0.01,
    momentum: 0,
    nesterov: false,
    rule: eightBit ? 'adamw_8bit' : 'adamw',
  })
  const laid = sft.layOut([rowsOf(folder)], { maxPassTokens: 512, prefixSharing: true, quantum })
  const targets = laid.normaliser
  const trained: Trained = { losses: [], norms: [], gradients: new Map(), parameters: new Map() }
  for (let step = 0; step < steps; step++) {
    let loss = 0
    for (const pass of laid.passes) loss += sft.loss.sum(pass, await runner.run(pass, { seed: 1, step, lossScale: 1 / targets }), laid)
    trained.losses.push(loss / targets)
    if (step === 0) for (const name of trainables.names) trained.gradients.set(name, trainables.get(name, 'gradients'))
    trained.norms.push(await optimizer.step(step + 1, 2e-3, 1))
  }
  for (const name of trainables.names) trained.parameters.set(name, trainables.get(name))
  return trained
}

/** The same on a device that is its own and freed after. */
export async function on(device: Device, setup: Setup, steps: number): Promise<Trained> {
  try {
    return await train(device, setup, steps)
  } finally {
    device.dispose()
  }
}
