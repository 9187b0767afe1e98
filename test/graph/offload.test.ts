/** Copies to host memory and back: nobody touches what is on its way, a block's work hides each, and what they are for is freed. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { lastLevel, policyAt } from '../../src/graph/fit.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import type { Plan, PlanTensor } from '../../src/graph/plan.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const LAYERS = 12
const config = JSON.parse(readFileSync(new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url), 'utf8'))
const model = openConfig({ ...config, num_hidden_layers: LAYERS, vocab_size: 4096 })
const lora = loraConfig({ targetModules: ['q_proj', 'down_proj'] })
const adapter = chooseAdapter({ kind: 'lora', config: lora }, { nf4: false, head: model.head.path }, true)
const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
const { lower } = tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: true, tokens: 1024 })
const offloaded = lower(policyAt(2 * LAYERS, LAYERS, 'offload')).plan
const recomputed = lower(policyAt(2 * LAYERS, LAYERS, 'recompute')).plan

/** bytes of the arena that a tensor's buffer takes */
const range = ({ buffers }: Plan, { buffer }: PlanTensor) => {
  const { at, bytes, space } = buffers[buffer]!
  return space === 'arena' || space === 'input' ? { at, end: at + bytes } : null
}

it('nothing is written where a copy reads or writes until it is done', () => {
  const copies = offloaded.steps.flatMap((step, i) => (step.beside ? [{ step, i, until: step.beside.until }] : []))
  // of each block but the last two: its output, attention's and the sums of its softmax, away and back
  expect(copies).toHaveLength(2 * 3 * (LAYERS - 2))
  for (const { step, i, until } of copies) {
    const [moved] = [...step.inputs, ...step.outputs].flatMap((t) => (t && range(offloaded, t)) ?? [])
    for (let k = i + 1; k < until; k++) {
      const { outputs, inputs, scratch } = offloaded.steps[k]!
      // while it comes back nobody reads it either
      const touched = [...outputs, ...(step.op === 'from_host' ? inputs : [])].flatMap((t) => (t && range(offloaded, t)) ?? [])
      if (scratch) touched.push({ at: scratch.at, end: scratch.at + scratch.bytes })
      for (const { at, end } of touched) expect(at >= moved!.end || end <= moved!.at).toBe(true)
    }
  }
})

it('each has the time of a block’s products at least', () => {
  const products = (from: number, to: number) => offloaded.steps.slice(from, to).filter(({ op }) => op === 'product').length
  offloaded.steps.forEach(({ beside, op, block }, i) => {
    if (!beside) return
    expect({ op, block, products: products(i, beside.until) >= 7 }).toEqual({ op, block, products: true })
  })
})

it('attention’s results are not made anew, and the arena holds neither them nor blocks’ inputs', () => {
  const again = (plan: Plan) => plan.steps.filter(({ op, recomputed }) => op === 'attention' && recomputed).length
  expect([again(offloaded), again(recomputed)]).toEqual([2, LAYERS])
  const block = 1024 * 4096 * 2
  expect(offloaded.host).toBeGreaterThanOrEqual(2 * (LAYERS - 2) * block)
  expect(recomputed.host).toBe(0)
  expect(offloaded.arena).toBeLessThan(recomputed.arena - (LAYERS - 6) * block)
})

it('past the last level the last blocks use host memory too, for nothing but room', () => {
  const last = lastLevel(LAYERS, 'offload')
  expect([last, lastLevel(LAYERS, 'recompute')]).toEqual([2 * LAYERS + 2, 2 * LAYERS])
  const plans = [0, 1, 2].map((more) => lower(policyAt(2 * LAYERS + more, LAYERS, 'offload')).plan)
  const again = plans.map(({ steps }) => steps.filter(({ op, recomputed }) => op === 'attention' && recomputed).length)
  expect(again).toEqual([2, 1, 0])
  expect(plans[2]!.host).toBeGreaterThan(plans[0]!.host)
  expect(plans[2]!.arena).toBeLessThan(plans[0]!.arena)
})

it('a table of which rows are read may lie elsewhere, a head that is read whole may not', () => {
  const sparse = (plan: Plan) => plan.buffers.filter((b) => b.sparse).map((b) => b.name)
  expect(sparse(offloaded)).toEqual(['model.embed_tokens.weight'])
  const tied = openConfig({ ...config, num_hidden_layers: 1, vocab_size: 4096, tie_word_embeddings: true })
  const spec = { model: tied, adapter, activation: 'bf16' as const, score: sft.score, gradients: true, tokens: 128 }
  const own = layoutParameters(inspect(tied, adapter, 'bf16').parameters.values())
  expect(sparse(tracePass({ ...spec, layout: own }).lower(() => 'all').plan)).toEqual([])
})
