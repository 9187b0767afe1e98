/** How long a plan takes: each op at the rate of what bounds it, arithmetic or memory traffic. */
import type { Device, Limits } from '../devices/device.ts'
import type { Plan, PlanStep } from '../graph/plan.ts'

export interface Rates {
  limits: Limits
  /** shares of the limits that kernels reach */
  reach: { compute: number; copy: number }
}

export function ratesOf(device: Device): Rates {
  return { limits: device.limits(), reach: device.describe().reach }
}

/** seconds of the plan's segments, the head run `chunks` times */
export function predictSeconds(plan: Plan, chunks: number, { limits, reach }: Rates): number {
  let seconds = 0
  for (const { name, from, to } of plan.segments) {
    const times = name === 'head' ? chunks : 1
    for (let i = from; i < to; i++) {
      const step = plan.steps[i]!
      const rate = operand(plan, step) === 'bf16' ? limits.bf16 : limits.f32
      seconds += times * Math.max(step.flops / (rate * reach.compute), step.bytes / (limits.copy * reach.copy))
    }
  }
  return seconds
}

/** FLOPs of the plan's segments, the head run `chunks` times; recomputed ones apart */
export function countFlops(plan: Plan, chunks: number): { flops: number; recomputed: number } {
  let flops = 0
  let recomputed = 0
  for (const { name, from, to } of plan.segments) {
    const times = name === 'head' ? chunks : 1
    for (let i = from; i < to; i++) {
      const step = plan.steps[i]!
      if (step.recomputed) recomputed += times * step.flops
      else flops += times * step.flops
    }
  }
  return { flops, recomputed }
}

function operand(plan: Plan, step: PlanStep): string {
  const activation = step.inputs.find((t) => t) ?? step.outputs[0]
  return activation ? plan.buffers[activation.buffer]!.dtype : 'f32'
}
