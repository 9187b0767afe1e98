/** How a run uses its memory: tokens of a pass, what blocks keep at each size of pass, the arena they share. */

import { paddedTokens } from '../data/passes.ts'
import type { Device } from '../devices/device.ts'
import { option, SaqrError, say } from '../error.ts'
import { fitPlan, policyAt } from '../graph/fit.ts'
import type { ParameterLayout } from '../graph/layout.ts'
import { stateOf } from '../graph/optimizer.ts'
import type { Plan } from '../graph/plan.ts'
import type { Policy } from '../graph/recompute.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { sizeOf } from '../ops/tensor.ts'
import { type RunnerSpec, traceOf } from './runner.ts'

export interface BudgetRequest {
  spec: Omit<RunnerSpec, 'policy'>
  /** bytes for everything: store, arena, overhead; null: what is free */
  memory: number | null
  /** bytes of the store: weights, trained tensors, optimiser state */
  store: number
  /** tokens of the longest row, and of a step's rows together at most */
  longest: number
  stepTokens: number
  /** given: passes of at most this many tokens, whatever it costs */
  maxPassTokens: number | null
}

export interface Budget {
  maxPassTokens: number
  /** bytes of the arena allowed */
  arena: number
  policy: (tokens: number) => (block: number) => Policy
  /** the plan of a full pass */
  full: Plan
}

/** bytes of a model in the store: weights, trained tensors, their gradients, the optimiser's state */
export function storeBytes(
  recorder: TraceRecorder,
  layout: ParameterLayout,
  optimizer: { eightBit: boolean } | null,
  doubleQuant: boolean,
): number {
  let bytes = layout.size * 8
  for (const spec of recorder.weights.values())
    bytes += sizeOf(spec) + (spec.dtype === 'nf4' ? nf4ScaleBytes(spec.rows * spec.cols, doubleQuant) : 0)
  if (optimizer)
    bytes += layout.ranges.flatMap((range, i) => stateOf(range, i, optimizer.eightBit)).reduce((sum, spec) => sum + sizeOf(spec), 0)
  return bytes
}

/** a scale for 64 weights in f32; doubly quantised, a byte each and an f32 for 256 of those */
export function nf4ScaleBytes(weights: number, doubleQuant: boolean): number {
  const blocks = Math.ceil(weights / 64)
  return doubleQuant ? blocks + 4 * Math.ceil(blocks / 256) : 4 * blocks
}

/** of what is free, where no budget is given: others use the machine too */
const FREE_SHARE = 0.8

/** @throws SaqrError MEMORY_BUDGET naming the smallest budget that works */
export function planBudget(device: Device, request: BudgetRequest): Budget {
  const { spec, longest, stepTokens } = request
  const { tokenQuantum, passTokens, overhead } = device.describe()
  const fixed = request.store + overhead
  const memory = request.memory ?? FREE_SHARE * device.available()
  const arena = memory - fixed
  const padded = (tokens: number) => paddedTokens(tokens, tokenQuantum)
  const largest = request.maxPassTokens ?? padded(Math.max(longest, Math.min(stepTokens, passTokens)))
  const { layers } = spec.model
  const fitted = (t: number, highest = 2 * layers) => fitPlan(layers, arena, traceOf(spec, t).lower, highest)

  let tokens = largest
  const shortest = request.maxPassTokens === null ? padded(longest) : largest
  // shorter passes cost less than recomputing products does: what only that would fit is not looked at while they can be
  let best = fitted(tokens, tokens > shortest ? layers : undefined)
  while (!best.fits && tokens > shortest) {
    tokens = Math.max(shortest, padded(Math.ceil(tokens / 2)))
    best = fitted(tokens, tokens > shortest ? layers : undefined)
  }
  if (!best.fits) throw tooSmall(memory, fixed + best.plan.arena, tokens, tokens > padded(longest), spec.adapter.config !== null)
  const levels = new Map([[tokens, best.level]])
  const policy = (t: number) => {
    let level = levels.get(t)
    if (level === undefined) levels.set(t, (level = fitted(t).level))
    return policyAt(level, layers)
  }
  return { maxPassTokens: tokens, arena, policy, full: best.plan.plan }
}

function tooSmall(memory: number, needed: number, tokens: number, divisible: boolean, frozen: boolean): SaqrError {
  const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`
  const shorter = divisible ? say`a smaller ${option('maxPassTokens')}, ` : ''
  const lighter = frozen
    ? say`${option('loadIn4bit')} where it is off`
    : say`train an adapter only (${option('getPeftModel')}, with ${option('loadIn4bit')} for less still)`
  return new SaqrError(
    'MEMORY_BUDGET',
    say`${mib(memory)} of memory are too little: passes of ${tokens} tokens need at least ${mib(needed)}, everything recomputed. Give a budget of ${mib(needed).replace(' ', '')} (${option('memory')}), ${shorter}a smaller ${option('maxLength')}, or ${lighter}.`,
  )
}
