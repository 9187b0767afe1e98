/** Where a number stopped being one: a pass run op by op, every result looked at. */
import type { Pass } from '../data/passes.ts'
import { type Device, type LoadedPlan, segmentOf, type Turn } from '../devices/device.ts'
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
  const { plan, items, inputs } = runner.prepare(pass, step)
  return device.turn(async (turn) => {
    await turn.run(items.slice(0, 1), inputs) // brings the inputs into place
    for (const { segment } of items) {
      const { from, to } = segmentOf(plan, segment)
      for (let i = from; i < to; i++) {
        await turn.runSteps(plan, i, i + 1)
        if (hasNonFinite(turn, plan, i)) return { op: plan.plan.steps[i]!.op, module: plan.plan.steps[i]!.name, segment }
      }
    }
    return null
  })
}

/** a query that sees no key has a log-sum of −∞ by definition */
function hasNonFinite(turn: Turn, plan: LoadedPlan, step: number): boolean {
  return plan.plan.steps[step]!.outputs.some(({ buffer }) => {
    const { name, dtype, space } = plan.plan.buffers[buffer]!
    if (space === 'store' || (dtype !== 'f32' && dtype !== 'bf16')) return false
    const bytes = turn.read(plan, name)
    const values = dtype === 'f32' ? asF32(bytes) : bf16ToF32(asU16(bytes))
    return values.some((x) => Number.isNaN(x) || x === Infinity)
  })
}
