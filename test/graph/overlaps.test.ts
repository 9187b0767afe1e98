/** Low-rank gradients beside the products after them: what they read stays, nothing reads what they write, and only where a device does so. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { besideOf } from '../../src/graph/beside.ts'
import { policyAt } from '../../src/graph/fit.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { place } from '../../src/graph/place.ts'
import type { Beside, Plan, PlanTensor } from '../../src/graph/plan.ts'
import { inspect, tracePass } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import type { Node, Op, Tensor } from '../../src/ops/op.ts'
import { sft } from '../../src/train/objectives/sft.ts'

const LAYERS = 4
const config = JSON.parse(readFileSync(new URL('../../examples/configs/llama-3.1-8b.json', import.meta.url), 'utf8'))
const model = openConfig({ ...config, num_hidden_layers: LAYERS, vocab_size: 4096 })
const targetModules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']

function traced(kind: 'lora' | 'full', overlaps?: boolean) {
  const choice = kind === 'full' ? ({ kind } as const) : ({ kind, config: loraConfig({ targetModules }) } as const)
  const adapter = chooseAdapter(choice, { nf4: false, head: model.head.path }, true)
  const layout = layoutParameters(inspect(model, adapter, 'bf16').parameters.values())
  return tracePass({ model, adapter, activation: 'bf16', layout, score: sft.score, gradients: true, tokens: 1024, overlaps })
}

const range = ({ buffers }: Plan, { buffer }: PlanTensor) => {
  const { at, bytes, space } = buffers[buffer]!
  return space === 'store' ? null : { at, end: at + bytes }
}

// a block's gradients are 11: three linears of one x share the gradient of their A, as two do. Nothing is asked behind the first block's q, k and v,
// whose four are in their turn; where a block is computed anew, so are those whose x is made anew for them: three of A in each block
it.each([
  ['all', 11 * LAYERS - 4],
  ['recompute', 8 * LAYERS - 3],
] as const)('what runs beside others reads what nobody writes until it is done: %s', (least, count) => {
  const level = least === 'all' ? 0 : 2 * LAYERS
  const { plan } = traced('lora', true).lower(policyAt(level, LAYERS, 'recompute'))
  const besides = plan.steps.flatMap((step, i) => (step.beside ? [{ step, i, ...step.beside }] : []))
  expect(besides.filter(({ step }) => step.op !== 'weight_grad')).toEqual([])
  const gradients = plan.steps.filter(({ op }) => op === 'weight_grad')
  expect([besides.length, gradients.length]).toEqual([count, 11 * LAYERS])
  for (const { step, i, until, on } of besides) {
    expect(on).toBe('kernels')
    const read = step.inputs.flatMap((t) => (t && range(plan, t)) ?? [])
    const hides = plan.steps[until - 1]!
    expect([hides.op, hides.block, hides.flops >= 8 * step.flops]).toEqual(['product', step.block, true])
    for (const { outputs, scratch } of plan.steps.slice(i + 1, until)) {
      const written = outputs.flatMap((t) => (t && range(plan, t)) ?? [])
      if (scratch) written.push({ at: scratch.at, end: scratch.at + scratch.bytes })
      for (const a of written) for (const b of read) expect(a.at >= b.end || a.end <= b.at).toBe(true)
    }
  }
})

it.each([0, 2 * LAYERS])('a device of one queue is given none; for two the arena is hardly larger: level %i', (level) => {
  const lowered = (overlaps?: boolean) => traced('lora', overlaps).lower(policyAt(level, LAYERS, 'recompute'))
  const [one, two] = [lowered(), lowered(true)]
  expect(one.plan.steps.filter(({ beside }) => beside)).toEqual([])
  // gaps between places aside, what lives at once is the same
  expect(two.floor).toBe(one.floor)
  expect(two.arena).toBeLessThan(1.02 * one.arena)
})

it('gradients as large as the products themselves run in their turn', () => {
  expect(
    traced('full', true)
      .lower(policyAt(0, LAYERS))
      .plan.steps.filter(({ beside }) => beside),
  ).toEqual([])
})

it('what the next steps write over, or add to, is not left to run beside them', () => {
  const tensor = (id: number, offset = 0, root?: Tensor): Tensor => ({ id, name: `t${id}`, rows: 4, cols: 4, stride: 4, dtype: 'f32', space: root ? 'store' : 'arena', root, offset, needsGrad: false }) // biome-ignore format: a line
  const op = (flops: number, beside?: 'kernels') =>
    ({ name: 'op', attrs: {}, outputs: () => [], flops: () => flops, beside }) as unknown as Op
  const node = (which: Op, inputs: Tensor[], outputs: Tensor[]): Node => ({ op: which, name: 'n', block: 0, attrs: {}, inputs, outputs })
  const [little, much] = [op(1, 'kernels'), op(8)]
  const all: Tensor = { ...tensor(9), rows: 8, space: 'store' }
  const [x, y, mine, other] = [tensor(0), tensor(1), tensor(2, 0, all), tensor(3, 16, all)]
  const until = (...after: Node[]) => {
    const nodes = [node(little, [x], [mine]), ...after]
    return besideOf(nodes, [{ name: 'backward', from: 0, to: nodes.length, repeats: false }], true).get(0)?.until
  }
  expect(until(node(much, [x], [y]))).toBe(2)
  expect(until(node(little, [y], [other]), node(much, [x], [y]))).toBe(3) // another part of the same buffer
  expect(until(node(op(1), [y], [mine]), node(much, [x], [y]))).toBeUndefined()
  expect(until(node(op(1), [mine], [y]), node(much, [x], [y]))).toBeUndefined()
  expect(until(node(op(1), [y], [x]), node(much, [x], [y]))).toBeUndefined()
  expect(until({ ...node(much, [x], [y]), block: 1 })).toBeUndefined()
  expect(until(node(op(7), [x], [y]))).toBeUndefined()
})

it('what is read beside a step is not written over by it', () => {
  const tensor = (id: number): Tensor => ({ id, name: `t${id}`, rows: 64, cols: 64, stride: 64, dtype: 'f32', space: 'arena', root: undefined, offset: 0, needsGrad: false }) // biome-ignore format: a line
  const op = (more: object) => ({ name: 'op', attrs: {}, outputs: () => [], flops: () => 0, ...more }) as unknown as Op
  const node = (which: Op, inputs: Tensor[], outputs: Tensor[]): Node => ({ op: which, name: 'n', block: 0, attrs: {}, inputs, outputs })
  const [d, sums, y, z] = [tensor(0), tensor(1), tensor(2), tensor(3)]
  const over = op({ inPlace: [[0, 0]] })
  const nodes = [node(op({}), [], [d]), node(op({}), [d], [sums]), node(over, [d], [y]), node(over, [y], [z])]
  const placesOf = (beside?: Beside) => {
    const placement = place(nodes, [sums], [], () => 0, new Map(beside ? [[1, beside]] : []))
    return [placement.arena, ...[d, y, z].map((t) => placement.spanOf(t)!.at)] as const
  }
  const [, first, second, third] = placesOf()
  expect([second, third]).toEqual([first, first])
  for (const on of ['kernels', 'copies'] as const) {
    const [, read, written, later] = placesOf({ on, until: 3 })
    expect(written).not.toBe(read)
    expect(later).toBe(written)
  }
})
