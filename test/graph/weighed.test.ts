/** Weights that follow from scores: logits are made once, unless the head is trained itself. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { sequenceScore } from '../../src/train/objectives/sequences.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const config = JSON.parse(readFileSync(new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url), 'utf8'))
const model = openConfig({ ...config, num_hidden_layers: 2, vocab_size: 5120 })

const method = (targetModules: string[]) => ({ kind: 'lora', config: loraConfig({ r: 16, targetModules }) }) as const

function planOf(chosen: Parameters<typeof chooseAdapter>[0], score = sequenceScore) {
  const adapter = chooseAdapter(chosen, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  const { plan } = tracePass({ model, adapter, activation: 'bf16', layout, score, gradients: true, tokens: 512 }).lower(() => 'all')
  const logits = plan.steps.filter(({ op, outputs }) => op === 'product' && outputs[0]!.cols === 5120)
  return { segments: plan.segments.map(({ name }) => name), logits: logits.length, steps: plan.steps }
}

it('below a frozen head the sweep that scores makes the gradient, and it is weighed once', () => {
  const { segments, logits, steps } = planOf(method(['q_proj', 'down_proj']))
  expect(segments).toEqual(['forward', 'score', 'backward'])
  expect(logits).toBe(1)
  expect(steps.filter(({ op }) => op === 'weighted_scatter')).toHaveLength(1)
})

it.each([
  ['low rank on the head', method(['q_proj', 'lm_head'])],
  ['low rank on the head alone', method(['lm_head'])],
  ['all weights', { kind: 'full' }],
] as const)('with %s it is scored first: the head’s own gradient wants the weights', (_, chosen) => {
  const { segments, logits } = planOf(chosen)
  expect(segments.slice(0, 3)).toEqual(['forward', 'score', 'head'])
  expect(logits).toBe(2)
})

it('weights that are known ahead are taken in the sweep, and rows go where they belong at once', () => {
  const { segments, steps } = planOf(method(['q_proj']), sft.score)
  expect(segments).toEqual(['forward', 'head', 'backward'])
  expect(steps.some(({ op }) => op === 'weighted_scatter')).toBe(false)
})
