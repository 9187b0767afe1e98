/** How long a plan takes: each op at the rate of what bounds it, arithmetic or memory traffic. */
import type { Device, Limits, Reach } from '../devices/device.ts'
import type { Costs, Plan, PlanStep, PlanTensor, Segment, StepCost } from '../graph/plan.ts'
import type { DType } from '../ops/tensor.ts'

export interface Rates {
  limits: Limits
  reach: Reach
}

export function ratesOf(device: Device): Rates {
  return { limits: device.limits(), reach: device.describe().reach }
}

/** What of a plan one pass runs. */
export interface Work {
  /** runs of the segments that repeat */
  chunks: number
  /** visible (query, key) pairs of the pass's rows; absent: one row that fills the pass */
  pairs?: number
  /** share of the pass's tokens that are no padding; absent: all */
  filled?: number
}

/** seconds of one pass */
export function predictSeconds(plan: Plan, work: Work, rates: Rates): number {
  const steps = plan.steps.map((step) => ({ ...step, operand: operand(plan, step) }))
  return secondsOf({ segments: plan.segments, steps }, work, rates)
}

/** the same of a plan without places */
export function secondsOf(plan: Costs, work: Work, rates: Rates): number {
  return plan.segments.reduce((sum, segment) => sum + (segment.repeats ? work.chunks : 1) * segmentSeconds(plan, segment, work, rates), 0)
}

/**
 * Copies between host and device follow one another beside the steps, which wait for those that have to be done before them. Kernels that run beside
 * others are counted as if in their turn: they take the card's memory from those.
 */
function segmentSeconds(plan: Costs, { from, to }: Segment, work: Work, rates: Rates): number {
  const { host, copy } = rates.limits
  let [own, beside] = [0, 0]
  let pending: { until: number; done: number }[] = []
  const waitFor = (step: number) => {
    if (!pending.some(({ until }) => until <= step)) return
    for (const { until, done } of pending) if (until <= step) own = Math.max(own, done)
    pending = pending.filter(({ until }) => until > step)
  }
  for (let i = from; i < to; i++) {
    waitFor(i)
    const step = plan.steps[i]!
    if (step.beside?.on !== 'copies') own += stepSeconds(step, work, rates)
    else {
      // what it reads and writes is counted, each crosses once
      beside = Math.max(beside, own) + step.bytes / 2 / (host ?? copy)
      pending.push({ until: step.beside.until, done: beside })
    }
  }
  waitFor(to)
  return own
}

/** seconds of one pass by op; copies between host and device, which run beside the rest, are left out */
export function secondsByOp(plan: Plan, work: Work, rates: Rates): Record<string, number> {
  const seconds: Record<string, number> = {}
  forEachRun(plan, work, (step, times) => {
    if (step.beside?.on === 'copies') return
    seconds[step.op] = (seconds[step.op] ?? 0) + times * stepSeconds({ ...step, operand: operand(plan, step) }, work, rates)
  })
  return seconds
}

function stepSeconds(step: Costs['steps'][number], work: Work, { limits, reach }: Rates): number {
  const half = step.operand === 'bf16'
  const rate = half ? limits.bf16 : limits.f32
  const { compute, pairs } = (half && reach.bf16) || reach
  const share = step.pairFlops ? pairs : step.inGroups ? (reach.groups ?? compute) : compute
  const copy = limits.copy * reach.copy
  const computed = flopsOf(step, work) / (rate * share) + (step.pairFlops ? (reach.pairsLaunch ?? 0) : 0)
  const least = Math.max(reach.launch, computed, step.bytes / copy)
  // what is made in scratch (a dequantised weight) is written there before the step can begin
  return least + (step.scratch?.bytes ?? 0) / copy
}

/** FLOPs of one pass, recomputed ones apart; those of padding are left out where `filled` says how much there is */
export function countFlops(plan: Plan, work: Work): { flops: number; recomputed: number } {
  const sum = { flops: 0, recomputed: 0 }
  forEachRun(plan, work, (step, times, segment) => {
    // pairs and head positions are counted without padding as it is
    const share = step.pairFlops || segment.repeats ? 1 : (work.filled ?? 1)
    sum[step.recomputed ? 'recomputed' : 'flops'] += times * share * flopsOf(step, work)
  })
  return sum
}

function forEachRun<S>(
  plan: { segments: readonly Segment[]; steps: readonly S[] },
  { chunks }: Work,
  visit: (step: S, times: number, segment: Segment) => void,
): void {
  for (const segment of plan.segments) {
    for (let i = segment.from; i < segment.to; i++) visit(plan.steps[i]!, segment.repeats ? chunks : 1, segment)
  }
}

/** a window may see less than the rows would */
function flopsOf(step: StepCost, { pairs }: Work): number {
  return step.pairFlops && pairs !== undefined ? Math.min(step.flops, step.pairFlops * pairs) : step.flops
}

/** the type a step computes in: its first input's that isn't a list of indices */
function operand(plan: Plan, step: PlanStep): DType {
  const dtypeOf = (t: PlanTensor) => plan.buffers[t.buffer]!.dtype
  const activation = step.inputs.find((t) => t && dtypeOf(t) !== 'i32') ?? step.outputs[0]
  return activation ? dtypeOf(activation) : 'f32'
}
