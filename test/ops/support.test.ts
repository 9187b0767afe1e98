/** Support: what a kernel doesn't take is an error that names the op, never a wrong number; and what is recomputed has the same bits. */
import { afterAll, describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { lower } from '../../src/graph/lower.ts'
import { cases } from '../../src/ops/generated/cases.ts'
import type { CaseInput, DType, OpCase } from '../../src/ops/op.ts'
import { type Activation, draw } from './draw.ts'
import { activations, evaluate, label, record, withStore } from './harness.ts'

const device = new CpuDevice({ threads: 2 })
const { has } = device.describe()
afterAll(() => device.dispose())

const small = cases.filter((c) => !c.bench && has(c.op.name))
const firstOf = (op: string) => small.find((c) => c.op.name === op)!
const ops = [...new Set(small.map((c) => c.op.name))]

/** inputs whose dtype a user's choice decides, activations and what lies in the store: given as bytes they must be refused */
const chosen = (input: CaseInput | null): input is CaseInput => {
  return input !== null && (input.dtype === 'act' || input.space === 'store') && input.dtype !== 'u8'
}

function as(c: OpCase, index: number, dtype: DType): OpCase {
  const inputs = c.inputs.map((input, i) => (i === index ? { ...input!, dtype, values: new Uint8Array(input!.rows * input!.cols) } : input))
  return { ...c, inputs }
}

const run = (c: OpCase, activation: Activation = 'f32') => evaluate(device, c, draw(c, activation))

describe('a dtype that no kernel takes', () => {
  it.each(ops.filter((op) => firstOf(op).inputs.some(chosen)))('%s', async (op) => {
    const c = firstOf(op)
    for (const [i, input] of c.inputs.entries()) {
      if (chosen(input)) await expect(run(as(c, i, 'u8')), `input ${i} of ${label(c)} as bytes`).rejects.toThrow(`op ${op} of case: `)
    }
  })
})

describe('an index outside', () => {
  const bad: [string, number, number[]][] = [
    ['embed', 0, [0, -1, 2, 3, 4, 5, 6, 7, 8]],
    ['embed', 0, [0, 1, 2, 3, 4, 5, 6, 7, 31]],
    ['gather', 1, [0, 1, 2, 3, 4, 6]],
    ['scatter', 1, [-1, 1, 2, 3, 4, 5]],
  ]
  it.each(bad)('%s, input %i = %j', async (op, index, values) => {
    const c = firstOf(op)
    const inputs = c.inputs.map((input, i) => (i === index ? { ...input!, values } : input))
    await expect(run({ ...c, inputs })).rejects.toThrow(/one lies outside/)
  })
  it('embed_grad, past the vocabulary', async () => {
    const c = firstOf('embed_grad')
    const inputs = c.inputs.map((input, i) => (i === 0 ? { ...input!, values: new Float64Array(input!.rows).fill(31) } : input))
    await expect(run({ ...c, inputs })).rejects.toThrow(/one lies outside/)
  })
})

/** outputs that backward makes anew from others instead of keeping them */
const rematerialised = small.filter((c) => c.op.rematerialise)

describe('rematerialised outputs have the same bits', () => {
  it.each(rematerialised.flatMap((c) => activations(c).map((a) => [label(c, a), c, a] as const)))('%s', async (_, c, activation) => {
    const recorded = record(c, draw(c, activation))
    const { r, node } = recorded
    const anew = node.op.rematerialise!(r, { ...node, name: 'anew' })
    expect(anew.some((t) => t)).toBe(true)
    const pinned = [...recorded.pinned, ...node.outputs, ...anew.filter((t) => t !== null)]
    const plan = lower([{ name: 'all', nodes: r.nodes }], { tokens: 1, pinned })
    await withStore(device, recorded.stored, async () => {
      const loaded = device.load(plan)
      const pairs = anew.flatMap((t, o) => (t ? [[t.name, node.outputs[o]!.name]] : []))
      const read = await device.run([{ plan: loaded, segment: 'all' }], recorded.uploads, { read: pairs.flat() })
      pairs.forEach(([name], i) => {
        expect(read[2 * i], name).toEqual(read[2 * i + 1])
      })
      loaded.dispose()
    })
  })
})
