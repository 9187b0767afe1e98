/** Where a number stopped being one: a pass run op by op, every result looked at. */
import type { Pass } from '../data/passes.ts'
import type { Device } from '../devices/device.ts'
import { asF32, asU16, bf16ToF32 } from '../formats/numbers.ts'
import type { PassRunner, StepInputs } from './runner.ts'

export interface Culprit {
  op: string
  /** checkpoint path of the module */
  module: string
  segment: string
}

/** The first step of the pass that gives a NaN or an infinity; null where none does. Gradient accumulators are left dirty. */
export async function firstNonFinite(device: Device, runner: PassRunner, pass: Pass, step: StepInputs): Promise<Culprit | null> {
  const { plan, items } = await runner.upload(pass, step)
  for (const { segment } of items) {
    const { from, to } = plan.plan.segments.find((s) => s.name === segment)!
    for (let i = from; i < to; i++) {
      await device.runSteps(plan, i, i + 1)
      const { op, name, outputs } = plan.plan.steps[i]!
      for (const { buffer } of outputs) {
        const { name: tensor, dtype, space } = plan.plan.buffers[buffer]!
        if (space === 'store' || (dtype !== 'f32' && dtype !== 'bf16')) continue
        const bytes = device.read(plan, tensor)
        const values = dtype === 'f32' ? asF32(bytes) : bf16ToF32(asU16(bytes))
        // a query that sees no key has a log-sum of −∞ by definition
        if (values.some((x) => Number.isNaN(x) || x === Infinity)) return { op, module: name, segment }
      }
    }
  }
  return null
}
