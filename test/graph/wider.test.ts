/** What is larger than all it is made of (a token's row for each of its experts) is made for each who reads it, and just before. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import type { Policy } from '../../src/graph/recompute.ts'
import { sink } from '../../src/graph/sink.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import type { Node, Op } from '../../src/ops/op.ts'
import type { Tensor } from '../../src/ops/tensor.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const config = JSON.parse(readFileSync(new URL('../../examples/configs/qwen3-30b-a3b.json', import.meta.url), 'utf8'))
const model = openConfig({ ...config, num_hidden_layers: 3, vocab_size: 4096 })
const targets = { r: 16, targetModules: ['q_proj'], targetParameters: ['experts.gate_up_proj', 'experts.down_proj'] }
const adapter = chooseAdapter({ kind: 'lora', config: loraConfig(targets) }, { nf4: true, head: model.head.path }, true)
const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
const { lower } = tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: true, tokens: 1024 })

it.each<Policy>(['lean', 'recompute'])('rows of experts never lie beside the gradient’s: %s', (policy) => {
  const { buffers, steps } = lower(() => policy).plan
  const rows = buffers.filter(({ name, space }) => space === 'arena' && /experts\.spread/.test(name))
  // of each block forward's, the gradient's, and what backward makes anew for the weight's gradient and, unless it kept it, for the product
  expect(rows).toHaveLength(3 * (policy === 'lean' ? 3 : 4))
  for (const [i, a] of rows.entries()) for (const b of rows.slice(i + 1)) expect(a.to < b.from || b.to < a.from).toBe(true)
  // nothing is made but what its first reader needs stands between
  for (const { from } of rows) expect(steps[from + 1]!.inputs.some((t) => t && buffers[t.buffer]!.from === from)).toBe(true)
})

it('keeps the order of all else, and each in its block', () => {
  const tensor = (name: string, rows: number): Tensor =>
    ({ name, space: 'arena', rows, cols: 1, stride: 1, offset: 0, dtype: 'f32', needsGrad: false }) as unknown as Tensor
  const node = (name: string, block: number, inputs: Tensor[], outputs: Tensor[], cheap = false): Node =>
    ({ op: { name, cheap } as unknown as Op, name, block, inputs, outputs, attrs: {} }) as unknown as Node
  const [x, wide, a, b, c] = [tensor('x', 1), tensor('wide', 8), tensor('a', 1), tensor('b', 1), tensor('c', 1)]
  const list = [node('wide', 0, [x], [wide], true), node('a', 0, [x], [a]), node('b', 0, [wide, a], [b]), node('c', 1, [b], [c])]
  expect(sink(list).map(({ name }) => name)).toEqual(['a', 'wide', 'b', 'c'])
  const later = [list[0]!, list[1]!, node('c', 1, [wide], [c])]
  expect(sink(later).map(({ name }) => name)).toEqual(['wide', 'a', 'c'])
  const dear = [node('wide', 0, [x], [wide]), ...list.slice(1)]
  expect(sink(dear)).toEqual(dear)
})
