/** How a run uses its memory: tokens of a pass, what blocks keep at each size of pass, the arena they share. */

import { paddedTokens } from '../data/passes.ts'
import { type Device, overheadBytes, overheadOf } from '../devices/device.ts'
import { Message, option, SaqrError, say } from '../error.ts'
import { chunkOf } from '../graph/chunk.ts'
import type { Stored } from '../graph/dense.ts'
import { type Fitted, fitPlan, type Least, policyAt } from '../graph/fit.ts'
import type { ParameterLayout } from '../graph/layout.ts'
import type { Lowered } from '../graph/lower.ts'
import { type OptimizerOptions, statesOf } from '../graph/optimizer.ts'
import type { Costs, Plan } from '../graph/plan.ts'
import type { Policy } from '../graph/recompute.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { type MadePass, type TracedPass, type TrainingSpec, tracePass } from '../graph/training.ts'
import { sizeOf } from '../ops/tensor.ts'
import { ratesOf, secondsOf } from './predict.ts'
import type { RunnerSpec } from './runner.ts'

/** What everything may take, and the unit in which that was said. */
export interface MemoryLimit {
  bytes: number
  /** GB (10⁹ bytes), MiB (2²⁰) … */
  unit: string
}

export interface BudgetRequest {
  spec: Omit<RunnerSpec, 'policy'>
  /** of everything: store, arena, overhead; null: what is free */
  memory: MemoryLimit | null
  /** bytes of the store: weights, trained tensors, optimiser state */
  store: number
  /** bytes that another model takes in the same memory, with passes of at most so many tokens */
  beside?: (tokens: number) => number
  /** tokens of the longest row, and of a step's rows together at most */
  longest: number
  stepTokens: number
  /** given: passes of at most this many tokens, whatever it costs */
  maxPassTokens: number | null
  /** is the base quantised, the optimiser's state in 8 bits? */
  lean: { base: boolean; optimizer: boolean }
}

export interface Budget {
  maxPassTokens: number
  /** bytes of the arena allowed */
  arena: number
  policy: (tokens: number) => (block: number) => Policy
  /** the pass of so many tokens, as the search made it, for whoever runs it: once */
  take: (tokens: number) => MadePass | undefined
  /** the plan of a full pass */
  full: Plan
  /** bytes of the host's memory, that of store tensors included */
  host: number
  /** where store tensors are to lie that need not lie on the device */
  places: ReadonlyMap<string, 'host' | 'device'>
  /** 4-bit weights that are kept in bf16 too */
  dense: readonly Stored[]
  /** kernels run beside others */
  overlaps: boolean
}

/** bytes of a model in the store: weights, trained tensors, their gradients, the optimiser's state. `nested`: of an NF4 weight, are its scales quantised? */
export function storeBytes(
  recorder: TraceRecorder,
  layout: ParameterLayout,
  optimizer: Pick<OptimizerOptions, 'rule'> | null,
  nested: (name: string) => boolean,
): number {
  let bytes = layout.size * 8
  for (const spec of recorder.weights.values())
    bytes += sizeOf(spec) + (spec.dtype === 'nf4' ? nf4ScaleBytes(spec.rows * spec.cols, nested(spec.name)) : 0)
  if (optimizer) bytes += statesOf(layout, optimizer.rule).reduce((sum, spec) => sum + sizeOf(spec), 0)
  return bytes
}

/** a scale for 64 weights in f32; doubly quantised, a byte each and an f32 for 256 of those */
export function nf4ScaleBytes(weights: number, doubleQuant: boolean): number {
  const blocks = Math.ceil(weights / 64)
  return doubleQuant ? blocks + 4 * Math.ceil(blocks / 256) : 4 * blocks
}

/** of what is free, where no budget is given: others use the machine too */
const FREE_SHARE = 0.8

/** @throws SaqrError MEMORY_BUDGET naming the smallest budget that works, or the largest that the device has */
export function planBudget(device: Device, request: BudgetRequest): Budget {
  const { spec, longest, stepTokens, beside = () => 0 } = request
  const description = device.describe()
  const {
    tokenQuantum,
    passTokens,
    scratch,
    has,
    copiesAdapters,
    memory: capacity = Number.POSITIVE_INFINITY,
    hostMemory = 0,
  } = description
  if (request.memory && request.memory.bytes > capacity) throw tooLarge(request.memory, capacity)
  const memory = request.memory?.bytes ?? FREE_SHARE * device.available()
  // graphs with branches take some of the driver's own memory, which no table knows (bench/results/overlap-h100.txt): not where every byte was counted
  const overlaps = request.memory ? false : (description.overlaps ?? false)
  let fixed = request.store + overheadBytes(overheadOf(description, spec.model.vocab))
  const padded = (tokens: number) => paddedTokens(tokens, tokenQuantum)
  const largest = request.maxPassTokens ?? padded(Math.max(longest, Math.min(stepTokens, passTokens)))
  const { layers } = spec.model
  const traces = new Map<number, TracedPass>()
  const trace = (t: number) =>
    traces.get(t) ?? traces.set(t, tracePass({ ...spec, tokens: t, scratch, has, copiesAdapters, overlaps })).get(t)!

  const all = trace(largest).lower(policyAt(0, layers))
  // tables of which a pass reads a few rows cost next to nothing in the host's memory: the first to go
  const sparse = hostMemory > 0 ? all.stored.filter((tensor) => tensor.sparse) : []
  const sparseBytes = sparse.reduce((sum, { bytes }) => sum + bytes, 0)
  const place = all.fits(memory - fixed) || sparseBytes > hostMemory ? 'device' : 'host'
  const bytesApart = place === 'host' ? sparseBytes : 0
  fixed -= bytesApart
  const dense = spec.activation === 'bf16' && description.keepsDense ? all.stored.filter(({ dtype }) => dtype === 'nf4') : []
  const keepsDense = all.fits(memory - fixed - denseBytes(dense) - beside(largest))
  const room = { arena: memory - fixed, host: Math.max(0, hostMemory - bytesApart) }
  /** by tokens: where passes fit that offload, about the same level whatever they send away */
  const offloading = new Map<number, number>()
  const filling = (t: number, least: Least, highest?: number): Fitted => {
    const near = least === 'recompute' ? undefined : offloading.get(t)
    const fitted = fitPlan(layers, { ...room, arena: room.arena - beside(t), least }, trace(t).lower, { highest, near })
    if (fitted.fits && least !== 'recompute') offloading.set(t, fitted.level)
    return fitted
  }
  const predicted = new Map<Lowered, number>()
  const seconds = ({ fitted: { plan }, tokens }: Cut) =>
    predicted.get(plan) ?? predicted.set(plan, secondsPerToken(device, plan.costs, tokens, request)).get(plan)!
  /** the faster that fits; host memory takes time to be pinned and others use it: more of it has to be worth something */
  const faster = (a: Cut, b: Cut) => {
    if (!a.fitted.fits || !b.fitted.fits) return a.fitted.fits ? a : b
    const worth = a.fitted.plan.host > b.fitted.plan.host ? 1.01 : 1
    return seconds(a) * worth < seconds(b) ? a : b
  }

  const shortest = request.maxPassTokens === null ? padded(longest) : largest
  const cut = (least: Least): Cut => {
    let tokens = largest
    // shorter passes mostly cost less than recomputing products does: what only that would fit is looked at after them
    let fitted = filling(tokens, least, tokens > shortest ? layers : undefined)
    while (!fitted.fits && tokens > shortest) {
      tokens = Math.max(shortest, padded(Math.ceil(tokens / 2)))
      fitted = filling(tokens, least, tokens > shortest ? layers : undefined)
    }
    const found = { least, tokens, fitted }
    for (let longer = largest; longer > tokens; longer = padded(Math.ceil(longer / 2))) {
      const other = { least, tokens: longer, fitted: filling(longer, least) }
      if (other.fitted.fits) return faster(other, found)
    }
    return found
  }
  const recomputing = cut('recompute')
  const short = !recomputing.fitted.fits || recomputing.fitted.level > layers
  const others = hostMemory > 0 && short ? [cut('offload'), cut('offload-more')] : []
  const smaller = (a: Cut, b: Cut) => (a.fitted.plan.host <= room.host && a.fitted.plan.arena < b.fitted.plan.arena ? a : b)
  const fastest = others.reduce((a, b) => faster(b, a), recomputing)
  const best = fastest.fitted.fits ? fastest : others.reduce((a, b) => smaller(b, a), recomputing)
  const { tokens, fitted } = best
  if (!fitted.fits) throw tooSmall(request, memory, fixed + fitted.plan.arena + beside(tokens), best, tokens > padded(longest))
  return {
    ...passesWithin({ ...spec, scratch, has, copiesAdapters, overlaps }, best, trace(tokens)),
    maxPassTokens: tokens,
    arena: room.arena,
    full: fitted.plan.plan,
    host: fitted.plan.plan.host + bytesApart,
    places: new Map(sparse.map(({ name }) => [name, place])),
    dense: keepsDense ? dense : [],
    overlaps,
  }
}

/** A way to cut a step: passes of so many tokens, what blocks keep in them, what those do that keep the least. */
interface Cut {
  least: Least
  tokens: number
  fitted: Fitted
}

/** Passes of other sizes take no more than a full one: nothing grows once a run has begun. */
function passesWithin(
  spec: Omit<TrainingSpec, 'tokens'>,
  { tokens, least, fitted: { level, plan } }: Cut,
  { recorder }: TracedPass,
): Pick<Budget, 'policy' | 'take'> {
  const { layers } = spec.model
  const within = { arena: plan.arena, host: plan.host, least }
  const levels = new Map([[tokens, level]])
  /** those that nobody has taken yet */
  const made = new Map<number, MadePass>([[tokens, { plan: plan.plan, results: recorder.results }]])
  const levelOf = (t: number): number => {
    const known = levels.get(t)
    if (known !== undefined) return known
    // what is about as long ends at about the same level
    const [near] = [...levels].sort(([a], [b]) => Math.abs(a - t) - Math.abs(b - t))[0]!
    const { recorder, lower } = tracePass({ ...spec, tokens: t })
    const fitted = fitPlan(layers, within, lower, { near: Math.abs(near - t) <= t / 8 ? levels.get(near) : undefined })
    levels.set(t, fitted.level)
    made.set(t, { plan: fitted.plan.plan, results: recorder.results })
    return fitted.level
  }
  return {
    policy: (t) => policyAt(levelOf(t), layers, least),
    take(t) {
      levelOf(t)
      const taken = made.get(t)
      made.delete(t)
      return taken
    },
  }
}

/** of a pass whose rows are as long as the longest, every token a target */
function secondsPerToken(device: Device, costs: Costs, tokens: number, { spec, longest }: BudgetRequest): number {
  const chunks = Math.ceil(tokens / (spec.chunk ?? chunkOf(spec, tokens)))
  return secondsOf(costs, { chunks, pairs: (tokens * (Math.min(longest, tokens) + 1)) / 2 }, ratesOf(device)) / tokens
}

function tooSmall(
  { memory, spec, lean }: BudgetRequest,
  allowed: number,
  needed: number,
  { tokens, least }: Cut,
  divisible: boolean,
): SaqrError {
  const offloads = least !== 'recompute'
  const unit = memory?.unit ?? 'MiB'
  const ways = [
    ...(divisible ? [say`a smaller ${option('maxPassTokens')}`] : []),
    say`a smaller ${option('maxLength')}`,
    ...(lean.optimizer ? [] : [say`${option('optim')} adamw_8bit`]),
    ...(spec.adapter.config === null
      ? [say`an adapter instead of all weights (${option('getPeftModel')})`]
      : lean.base
        ? []
        : [say`a base in 4 bits (${option('loadIn4bit')})`]),
  ]
  const enough = inUnit(needed, unit)
  return new SaqrError(
    'MEMORY_BUDGET',
    say`${memory ? '' : 'the '}${inUnit(allowed, unit, Math.floor)} of memory${memory ? '' : ' that are free'} are too little: passes of ${tokens} tokens need ${enough}, ${offloads ? 'all that can be in the host’s memory' : 'everything recomputed'}. ${memory ? say`Give ${option('memory')} ${enough}` : 'Free some'}, or take ${Message.join(ways.slice(0, -1), ', ')}${ways.length > 1 ? ' or ' : ''}${ways.at(-1)!}.`,
  )
}

function tooLarge({ bytes, unit }: NonNullable<BudgetRequest['memory']>, capacity: number): SaqrError {
  const most = inUnit(capacity, unit, Math.floor)
  return new SaqrError(
    'MEMORY_BUDGET',
    say`${inUnit(bytes, unit)} of memory are more than the ${most} that the device has. Give ${option('memory')} ${most} or less, or leave it out to take what is free.`,
  )
}

/** 1571 MiB as 1.54GiB, 1648MB …: rounded so that it is enough */
export function inUnit(bytes: number, unit: string, round: (n: number) => number = Math.ceil): string {
  const power = ' KMGT'.indexOf(unit[0]!)
  const n = bytes / (unit.includes('i') ? 1024 : 1000) ** Math.max(0, power)
  const digits = n < 100 && power > 0 ? 100 : 1
  return `${round(n * digits) / digits}${unit}`
}

/** bytes of 4-bit weights in bf16 */
export const denseBytes = (weights: readonly Pick<Stored, 'rows' | 'cols'>[]) =>
  weights.reduce((sum, { rows, cols }) => sum + rows * cols * 2, 0)

/** Moves what need not lie on the device to where the budget has it. */
export function movePlaces(device: Device, { places }: Pick<Budget, 'places'>): void {
  for (const [name, to] of places) device.move?.(name, to)
}
