/** A plan with addresses: the bytes native/plan.cpp reads. Layouts are those of native/saqr.hpp. */
import type { Plan, PlanTensor } from '../../graph/plan.ts'
import { asNumber } from '../../ops/attrs.ts'
import { BYTES, DTYPES } from '../../ops/tensor.ts'

const TENSOR = 48
const STEP_HEADER = 24

export interface Placed {
  address: bigint
  /** address of the Quant beside an nf4 weight */
  quant: bigint
}

/** `placed[i]`: where buffer i lies; `arena`: where scratch offsets count from; `kernel`: index of a native kernel by name */
export function encodePlan(plan: Plan, placed: readonly Placed[], arena: bigint, kernel: (op: string) => number): Uint8Array {
  const sizes = plan.steps.map((s) => STEP_HEADER + TENSOR * (s.outputs.length + s.inputs.length) + 8 * Object.keys(s.attrs).length)
  const bytes = new Uint8Array(8 + sizes.reduce((sum, n) => sum + n, 0))
  const out = new DataView(bytes.buffer)
  bytes.set([0x53, 0x51, 0x50, 0x4c]) // SQPL
  out.setUint32(4, plan.steps.length, true)
  let at = 8

  const tensor = (t: PlanTensor | null) => {
    if (t) {
      const { dtype } = plan.buffers[t.buffer]!
      const { address, quant } = placed[t.buffer]!
      out.setBigUint64(at, address + BigInt(t.offset * BYTES[dtype]), true)
      out.setBigInt64(at + 8, BigInt(t.rows), true)
      out.setBigInt64(at + 16, BigInt(t.cols), true)
      out.setBigInt64(at + 24, BigInt(t.stride), true)
      out.setInt32(at + 32, DTYPES.indexOf(dtype), true)
      out.setBigUint64(at + 40, quant, true)
    }
    at += TENSOR
  }

  for (const step of plan.steps) {
    const attrs = Object.values(step.attrs)
    const index = kernel(step.op)
    if (index < 0) throw new Error(`the CPU library has no kernel '${step.op}'`)
    ;[index, step.outputs.length, step.inputs.length, attrs.length].forEach((n, i) => {
      out.setInt32(at + 4 * i, n, true)
    })
    out.setBigUint64(at + 16, step.scratch ? arena + BigInt(step.scratch.at) : 0n, true)
    at += STEP_HEADER
    for (const t of step.outputs) tensor(t)
    for (const t of step.inputs) tensor(t)
    for (const a of attrs) {
      out.setFloat64(at, asNumber(a), true)
      at += 8
    }
  }
  return bytes
}
