/** A dropped input's low-rank part: one op where a device has a kernel of it, a dropout and a product elsewhere, and the same training. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { sft } from '../../src/train/objectives/sft.ts'
import { on } from '../../tools/cuda-test/train.ts'
import { distance } from '../parity/family-case.ts'

const path = join(import.meta.dirname, '../../examples/configs/llama-3.1-8b.json')
const model = openConfig({ ...JSON.parse(readFileSync(path, 'utf8')), num_hidden_layers: 2 })

function stepsOf(has: (op: string) => boolean) {
  const targetModules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
  const method = { kind: 'lora', config: loraConfig({ r: 16, loraDropout: 0.1, targetModules }) } as const
  const adapter = chooseAdapter(method, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const spec = { model, adapter, activation: 'bf16' as const, layout, tokens: 128, score: sft.score, gradients: true, has }
  return tracePass(spec)
    .lower(() => 'all')
    .plan.steps.filter(({ block }) => block === 1)
}
const count = (steps: readonly { op: string }[], op: string) => steps.filter((step) => step.op === op).length

it('one op where a device has it: nothing is dropped in memory, and gradients of one x are added as they are made', () => {
  const steps = stepsOf(() => true)
  expect(count(steps, 'dropout')).toBe(0)
  expect(count(steps, 'dropout_product')).toBe(7)
  expect(count(steps, 'dropout_weight_grad')).toBe(7)
  expect(count(steps, 'dropout_input_grad')).toBe(7)
  // one is left where the block's input is reached by its norm and by what goes past it
  expect(count(steps, 'add')).toBeLessThanOrEqual(2)
})

it('a dropout and a product elsewhere', () => {
  const steps = stepsOf(() => false)
  expect(steps.filter(({ op }) => op.startsWith('dropout_'))).toEqual([])
  expect(count(steps, 'dropout')).toBe(14)
})

it('the same gradients both ways, other ones than without dropout', async () => {
  const folder = join(import.meta.dirname, '../fixtures/families/llama-gqa-tied')
  const setup = { folder, dtype: 'f32', loadIn4bit: false, eightBit: false, policy: 'all', quantum: 16 } as const
  expect(new ReferenceDevice().describe().has('dropout_product')).toBe(true)
  const whole = await on(new ReferenceDevice(), { ...setup, dropout: 0.25 }, 1)
  const parts = await on(new CpuDevice({ threads: 2 }), { ...setup, dropout: 0.25 }, 1)
  const plain = await on(new CpuDevice({ threads: 2 }), setup, 1)
  expect(whole.gradients.size).toBeGreaterThan(0)
  for (const [name, g] of whole.gradients) {
    // sums of some thousand products in f32 beside f64
    expect(distance(parts.gradients.get(name)!, g), name).toBeLessThan(1e-5)
    expect(distance(plain.gradients.get(name)!, g), name).toBeGreaterThan(0.1)
  }
})
