/** An adapter's weights in the activations' type once a pass: nothing that multiplies reads them in f32, gradients go where they went. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const path = new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url)
const model = openConfig({ ...JSON.parse(readFileSync(path, 'utf8')), num_hidden_layers: 2 })

function planOf(more: Parameters<typeof loraConfig>[0], activation: 'bf16' | 'f32' = 'bf16') {
  const adapter = chooseAdapter({ kind: 'lora', config: loraConfig(more) }, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, activation).parameters.values())
  const spec = { model, adapter, activation, layout, tokens: 128, score: sft.score, gradients: true, has: () => true, copiesAdapters: true }
  const { plan } = tracePass(spec).lower(() => 'lean')
  const multiplying = plan.steps.filter(({ op }) => op === 'product' || op.startsWith('dropout_'))
  const read = multiplying.flatMap(({ inputs }) => inputs.flatMap((t) => (t ? [plan.buffers[t.buffer]!] : [])))
  return {
    plan,
    casts: plan.steps.filter(({ op }) => op === 'cast'),
    f32: new Set(read.filter(({ dtype }) => dtype === 'f32').map(({ name }) => name)),
  }
}
const targetModules = ['q_proj', 'k_proj', 'down_proj']

it('all of an adapter is cast at once, ahead of everything', () => {
  const { plan, casts, f32 } = planOf({ r: 16, targetModules })
  expect(casts.map(({ inputs: [x] }) => x!.cols)).toEqual([plan.buffers.find(({ name }) => name === 'parameters')!.cols])
  expect(plan.steps[0]!.op).toBe('cast')
  expect([...f32]).toEqual([])
  const gradients = plan.steps.filter(({ op }) => op === 'weight_grad')
  expect(new Set(gradients.map(({ outputs }) => plan.buffers[outputs[0]!.buffer]!.name))).toEqual(new Set(['gradients']))
})

it('what is dropped too', () => {
  const { casts, f32 } = planOf({ r: 16, loraDropout: 0.1, targetModules })
  expect(casts).toHaveLength(1)
  // masks' gradients are added to in f32, nothing else
  expect([...f32]).toEqual(['gradients'])
})

it('not where rows begin between copies of tiles, nor what is trained whole, nor in f32', () => {
  expect([...planOf({ r: 4, targetModules }).f32]).toEqual(['parameters'])
  const { casts, plan } = planOf({ r: 16, targetModules, modulesToSave: ['lm_head'] })
  const size = plan.buffers.find(({ name }) => name === 'parameters')!.cols
  const copied = casts.reduce((sum, { inputs: [x] }) => sum + x!.cols, 0)
  expect(copied).toBe(size - model.vocab * 4096)
  expect(planOf({ r: 16, targetModules }, 'f32').casts).toEqual([])
})

it('a router that computes in f32 reads its own weights', () => {
  const folder = new URL('../fixtures/families/full-deepseek-v2/model/config.json', import.meta.url)
  const deepseek = openConfig(JSON.parse(readFileSync(folder, 'utf8')))
  const adapter = chooseAdapter({ kind: 'full' }, { nf4: false, head: deepseek.head.path }, true)
  const layout = layoutParameters(inspect(deepseek, adapter, 'bf16').parameters.values())
  const spec = { model: deepseek, adapter, activation: 'bf16' as const, layout, tokens: 64, score: sft.score, gradients: true }
  const { steps, buffers } = tracePass({ ...spec, has: () => true, copiesAdapters: true }).lower(() => 'all').plan
  const routers = steps.filter(({ op, name }) => op === 'product' && name.endsWith('mlp.gate'))
  expect(routers.length).toBeGreaterThan(0)
  for (const { inputs, outputs } of routers.filter(({ outputs }) => buffers[outputs[0]!.buffer]!.dtype === 'f32')) {
    expect(inputs.filter((t) => t && buffers[t.buffer]!.dtype === 'bf16')).toEqual([])
    expect(outputs).toHaveLength(1)
  }
  expect(routers.some(({ inputs }) => inputs.some((t) => t && buffers[t.buffer]!.name === 'parameters'))).toBe(true)
})
