/** How a budget is used: the cut and what blocks keep, by what the plans are predicted to take. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import type { Device } from '../../src/devices/device.ts'
import { planBudget, storeBytes } from '../../src/engine/budget.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { policyAt } from '../../src/graph/fit.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import type { ScratchOf } from '../../src/graph/lower.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const path = new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url)
const LAYERS = 3
const model = openConfig({ ...JSON.parse(readFileSync(path, 'utf8')), num_hidden_layers: LAYERS, vocab_size: 4096 })
const config = loraConfig({ targetModules: ['q_proj', 'v_proj'] })
const adapter = chooseAdapter({ kind: 'lora', config }, { nf4: true, head: model.head.path }, true)
const recorder = inspect(model, adapter, 'bf16')
const layout = layoutParameters(recorder.parameters.values())
const spec = { model, adapter, activation: 'bf16' as const, layout, score: sft.score, gradients: true }
const store = storeBytes(recorder, layout, null, true)

/** a device whose products need `scratch` bytes to be written first */
function device(scratch: ScratchOf): Device {
  const reach = { compute: 1, pairs: 1, copy: 1, launch: 0 }
  const describe = () => ({ kind: 'made', label: '', threads: 1, tokenQuantum: 128, passTokens: 16384, reach, overhead: 0, scratch })
  return { describe, limits: () => ({ f32: 1e14, bf16: 1e14, copy: 1e12 }), available: () => 1e12 } as unknown as Device
}

/** the budget in which one pass of all tokens fits only where every block is made anew */
function cutOf(scratch: ScratchOf): number {
  const tokens = 4096
  const arena = tracePass({ ...spec, tokens, scratch }).lower(policyAt(2 * LAYERS - 1, LAYERS)).arena
  const memory = { bytes: store + arena, unit: 'GB' }
  const request = { spec, memory, store, longest: 512, stepTokens: tokens, maxPassTokens: null, lean: { base: true, optimizer: true } }
  return planBudget(device(scratch), request).maxPassTokens
}

it('shorter passes instead of products made anew, unless each pass costs more than those', () => {
  expect(cutOf(() => 0)).toBeLessThan(4096)
  expect(cutOf(({ op }) => (op.name === 'product' ? 256e6 : 0))).toBe(4096)
})
