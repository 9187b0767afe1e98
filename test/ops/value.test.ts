/**
 * Value: every case on every device against the op's definition in f64, in f32 and bf16, with outputs poisoned before and over the
 * inputs' own places; and the same bits whatever the number of threads.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Device } from '../../src/devices/device.ts'
import { cases } from '../../src/ops/generated/cases.ts'
import type { Matrix, OpCase } from '../../src/ops/op.ts'
import { setups } from './devices.ts'
import { type Activation, type Drawn, draw } from './draw.ts'
import { activations, distance, evaluate, expected, label, record } from './harness.ts'

const small = cases.filter((c) => !c.bench)
const ops = [...new Set(small.map((c) => c.op.name))]

interface Run {
  case: OpCase
  activation: Activation
  drawn: (Drawn | null)[]
  inPlace: boolean
  columns: boolean
  right: Matrix[]
  /** what the first setup of the same bits gave */
  bytes: Map<string, Uint8Array[]>
}

/** every way to run a case: dtypes, nf4 scales as they are and in 8 bits; outputs apart, in place, and as columns of wider matrices */
function runsOf(c: OpCase): Run[] {
  const quantised = c.inputs.some((input) => input?.dtype === 'nf4')
  const mayLieInPlace = c.op.inPlace?.some(([, k]) => c.inputs[k] && !c.inputs[k].within)
  return activations(c).flatMap((activation) =>
    (quantised ? [false, true] : [false]).flatMap((nested) => {
      const drawn = draw(c, activation, nested)
      const matrices = drawn.map((d) => d?.matrix ?? null)
      const right = expected(c, record(c, drawn).node, matrices)
      const places = [{}, { columns: true }, ...(mayLieInPlace ? [{ inPlace: true }] : [])]
      return places.map((place): Run => ({ case: c, activation, drawn, inPlace: false, columns: false, bytes: new Map(), ...place, right }))
    }),
  )
}
const runs = new Map<string, Run[]>()
function runsOfOp(op: string): Run[] {
  let list = runs.get(op)
  if (!list) runs.set(op, (list = small.filter((c) => c.op.name === op).flatMap(runsOf)))
  return list
}

describe.each(setups())('$name', (setup) => {
  let device: Device
  beforeAll(() => {
    device = setup.open()
  })
  afterAll(() => device.dispose())

  it.each(ops)('%s', async (op) => {
    // others stand in for it (complete.test.ts)
    if (!device.describe().has(op)) return
    const problems: string[] = []
    for (const run of runsOfOp(op)) {
      const what = `${label(run.case, run.activation)}${run.inPlace ? ', in place' : run.columns ? ', as columns' : ''}`
      const outputs = await evaluate(device, run.case, run.drawn, run)
      outputs.forEach(({ values }, o) => {
        const far = distance(values, run.right[o]!.data)
        if (!(far <= run.case.tolerance[run.activation])) problems.push(`${what}: output ${o} is off by ${far.toExponential(2)}`)
      })
      const first = run.bytes.get(setup.bits) ?? outputs.map((o) => o.bytes)
      run.bytes.set(setup.bits, first)
      if (outputs.some((o, i) => Buffer.compare(o.bytes, first[i]!) !== 0)) problems.push(`${what}: other bits than with one thread`)
    }
    expect(problems).toEqual([])
  })
})
