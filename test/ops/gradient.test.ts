/**
 * Gradient: the nodes that an op's backward rule emits, run by their definitions in f64, against central finite differences of the op's
 * definition: for loss = Σ random · outputs, the derivative by every input of activations and every trainable tensor.
 */
import { describe, expect, it } from 'vitest'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { decode } from '../../src/devices/reference/numbers.ts'
import { lower } from '../../src/graph/lower.ts'
import { castOp } from '../../src/ops/cast/op.ts'
import { cases } from '../../src/ops/generated/cases.ts'
import type { Matrix, Node, OpCase, Tensor } from '../../src/ops/op.ts'
import { type Drawn, draw, encode, normals } from './draw.ts'
import { distance, expected, label, record, withStore } from './harness.ts'

/** What has no derivative, and says so. */
const REFUSES = /a transposed product only occurs in backward|attention over a cache has no derivative/

/** Directions in which an input of `size` elements is moved: each element of a small one, else all elements at once by random amounts. */
function directions(size: number, name: string): Float64Array[] {
  if (size > 8) return [0, 1, 2].map((k) => normals(size, `${name} direction ${k}`, 0.25))
  return Array.from({ length: size }, (_, k) => Float64Array.from({ length: size }, (_, i) => (i === k ? 1 : 0)))
}

/** what stands in the accumulators before: gradients are added */
const BEFORE = 0.5

/** by output: what the loss multiplies it with */
type Seeds = ReadonlyMap<number, Float64Array>

/** values, not statistics beside them (rstd, lse): those stay f32 when the activations are bf16 */
function valueOutputs(c: OpCase): number[] {
  const specs = record(c, draw(c, 'bf16')).node.outputs
  return specs.flatMap((t, i) => (i === 0 || t.dtype === 'bf16' ? [i] : []))
}

/** By input: its derivative as the emitted backward gives it, run on the reference device; null where the op refuses. */
async function byRule(c: OpCase, drawn: readonly (Drawn | null)[], seeds: Seeds): Promise<Map<number, Float64Array> | null> {
  const recorded = record(c, drawn)
  const { r, node, uploads, pinned, stored } = recorded
  const accumulators = new Map<number, Tensor>()
  node.inputs.forEach((t, i) => {
    if (t?.space !== 'store' || !t.needsGrad) return
    const d = r.tensor(`d${t.name}`, { rows: t.rows, cols: t.cols, dtype: 'f32' }, 'store')
    const bytes = encode(new Float64Array(t.rows * t.cols).fill(BEFORE), 'f32')
    stored.push({ tensor: d, drawn: { ...drawn[i]!, dtype: 'f32', bytes, quant: undefined } })
    r.setGradient(t, d)
    accumulators.set(i, d)
  })
  const dOutputs = node.outputs.map((t, o) => {
    const seed = seeds.get(o)
    if (!seed) return null
    const d = r.tensor(`dOut${o}`, { rows: t.rows, cols: t.cols, dtype: t.dtype }, 'input')
    uploads[d.name] = encode(seed, t.dtype)
    pinned.push(d)
    return d
  })
  let dInputs: (Tensor | null)[]
  try {
    dInputs = node.op.backward!(r, node, dOutputs)
  } catch (error) {
    if (REFUSES.test(String(error))) return null
    throw error
  }
  // copies by names of their own: nodes of one module share theirs
  const results = dInputs.map((t, i) => t && r.apply(castOp, [t], { dtype: t.dtype }, `derivative by input ${i}`)[0]!)
  const plan = lower([{ name: 'all', nodes: r.nodes }], { tokens: 1, pinned: [...pinned, ...results.filter((t) => t !== null)] })
  const device = new ReferenceDevice()
  const derivatives = new Map<number, Float64Array>()
  await withStore(device, stored, async () => {
    const loaded = device.load(plan)
    const wanted = results.flatMap((t, i) => (t ? [{ t, i }] : []))
    const read = await device.run([{ plan: loaded, segment: 'all' }], uploads, { read: wanted.map(({ t }) => t.name) })
    wanted.forEach(({ t, i }, k) => {
      derivatives.set(i, decode(read[k]!, t.dtype))
    })
    for (const [i, d] of accumulators) derivatives.set(i, device.values(d.name).map((x) => x - BEFORE)) // biome-ignore format: short
  })
  return derivatives
}

/** along directions of an input, of seed · output, by output: from the points one step away, or from those two steps away too */
type Differences = Map<number, { two: number[]; four: () => number[] }>

/**
 * By output: derivatives of seed · output along directions of input `i`. Two points have an error of h² (and none where the op is linear, as products
 * are), four points one of h⁴; those further away are asked for only where the nearer ones don't say enough.
 */
function byDifferences(
  c: OpCase,
  node: Node,
  matrices: readonly (Matrix | null)[],
  seeds: Seeds,
  i: number,
  along: readonly Float64Array[],
): Differences {
  const here = matrices[i]!
  const h = 1e-3 * Math.min(1, c.inputs[i]!.scale ?? 1)
  /** by output: of each direction, what seed · output differs by, `steps` steps ahead and as many back */
  const across = (steps: number): Map<number, number[]> => {
    const lossesAt = (direction: Float64Array, step: number) => {
      const moved = { ...here, data: here.data.map((x, k) => x + step * h * direction[k]!) }
      const outputs = expected(
        c,
        node,
        matrices.map((m, k) => (k === i ? moved : m)),
      )
      return new Map([...seeds].map(([o, seed]) => [o, dot(seed, outputs[o]!.data)]))
    }
    const pairs = along.map((direction) => [lossesAt(direction, steps), lossesAt(direction, -steps)] as const)
    return new Map([...seeds.keys()].map((o) => [o, pairs.map(([ahead, back]) => ahead.get(o)! - back.get(o)!)]))
  }
  const near = across(1)
  let far: Map<number, number[]> | undefined
  return new Map(
    [...near].map(([o, list]) => [
      o,
      {
        two: list.map((x) => x / (2 * h)),
        four: () => {
          far ??= across(2)
          return far.get(o)!.map((x, k) => (8 * list[k]! - x) / (12 * h))
        },
      },
    ]),
  )
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

const differentiable = cases.filter((c) => !c.bench && c.op.backward && record(c, draw(c, 'f32')).node.inputs.some((t) => t?.needsGrad))

describe.each([...new Set(differentiable.map((c) => c.op.name))])('%s', (op) => {
  it.each(differentiable.filter((c) => c.op.name === op).map((c) => [c.name, c] as const))('%s', async (_, c) => {
    const drawn = draw(c, 'f32')
    const matrices = drawn.map((d) => d?.matrix ?? null)
    const outputs = valueOutputs(c)
    const { node } = record(c, drawn)
    const all = new Map(outputs.map((o) => [o, seedOf(node.outputs[o]!, `${label(c)} seed ${o}`)]))
    /** by input; the definition's outputs are moved once, whatever of them is wanted */
    const differences = new Map<number, { along: Float64Array[]; of: Differences }>()
    const differencesOf = (t: Tensor, i: number) => {
      let found = differences.get(i)
      if (!found) {
        const along = directions(t.rows * t.cols, `${label(c)} input ${i}`)
        found = { along, of: byDifferences(c, node, matrices, all, i, along) }
        differences.set(i, found)
      }
      return found
    }
    // all outputs at once, then each alone: a rule sees null for what nobody differentiates
    for (const wanted of outputs.length > 1 ? [outputs, ...outputs.map((o) => [o])] : [outputs]) {
      const rule = await byRule(c, drawn, new Map(wanted.map((o) => [o, all.get(o)!])))
      if (!rule) continue
      node.inputs.forEach((t, i) => {
        if (!t?.needsGrad) return
        const { along, of } = differencesOf(t, i)
        const derivatives = along.map((direction) => dot(rule.get(i)!, direction))
        const off = (points: 'two' | 'four') => {
          const lists = wanted.map((o) => (points === 'two' ? of.get(o)!.two : of.get(o)!.four()))
          return distance(derivatives, lists[0]!.map((_, k) => lists.reduce((sum, list) => sum + list[k]!, 0))) // biome-ignore format: short
        }
        // the device gives f32, 6e-8, and terms of random sign add up to a few times less than their size; differences are off by h² or h⁴ times
        // a third or fifth derivative and 1e-16 / h of the loss
        const most = 1e-6
        const near = off('two')
        expect(near < most ? near : off('four'), `${label(c)}: derivative of outputs ${wanted} by input ${i}`).toBeLessThan(most)
      })
    }
  })
})

/** random, exact in the output's dtype */
function seedOf(output: Tensor, name: string): Float64Array {
  return decode(encode(normals(output.rows * output.cols, name), output.dtype), output.dtype)
}

describe('what has no derivative', () => {
  it('is refused by name, never given as zero', () => {
    const refused = differentiable.filter((c) => {
      const { r, node } = record(c, draw(c, 'f32'))
      for (const t of node.inputs) if (t?.space === 'store' && t.needsGrad) r.setGradient(t, t)
      try {
        node.op.backward!(r, node, node.outputs)
        return false
      } catch (error) {
        return REFUSES.test(String(error))
      }
    })
    expect([...new Set(refused.map((c) => c.op.name))]).toEqual(['product'])
  })
})
