/** The memory table of the plans of a run: they share one arena and one store, so their peak is known before the first step. */
import { type Overhead, overheadBytes } from '../devices/device.ts'
import { denseBytes, nf4ScaleBytes } from '../engine/budget.ts'
import type { Stored } from '../graph/dense.ts'
import type { Plan, PlanStep } from '../graph/plan.ts'
import type { MemoryLine, MemoryTable } from '../track/events.ts'

export interface MemoryOptions {
  /** prefix of the trained tensors' names in the store */
  scope?: string
  /** names of what the optimiser keeps there, less that prefix */
  state?: readonly string[]
  /** of an NF4 weight: are its scales quantised themselves? */
  nested?: (name: string) => boolean
  /** bytes that --memory allows; null: what is free */
  budget?: number | null
  /** what a budget leaves for the process itself */
  overhead?: readonly Overhead[]
  /** where store tensors lie that need not lie on the device (Budget.places) */
  places?: ReadonlyMap<string, 'host' | 'device'>
  /** 4-bit weights that lie there in bf16 too */
  dense?: readonly Stored[]
  /** of a reference on another base: its weights, its largest pass; bytes */
  reference?: { weights: number; passes: number } | null
  /** bytes of other models over the same base: adapters, and what only they read of it */
  beside?: number
}

/** the line of 4-bit weights that are kept in bf16 too */
export const DENSE = 'frozen weights in bf16 too'

/** `plans`: of the largest pass, of evaluation, of the optimiser … */
export function memoryOf(plans: readonly Plan[], options: MemoryOptions = {}): MemoryTable {
  const {
    scope = '',
    state = [],
    nested = () => false,
    budget = null,
    overhead = [],
    places,
    dense = [],
    beside = 0,
    reference = null,
  } = options
  const onHost = [...(places ?? [])].flatMap(([name, to]) => (to === 'host' ? [name] : []))
  const largest = plans.reduce((a, b) => (b.arena > a.arena ? b : a))
  const { lines, peak } = arenaLines(largest)
  const store = storeLines(plans, (name) => storeKind(name.startsWith(scope) ? name.slice(scope.length) : name, state), nested, onHost)
  if (dense.length > 0) store.push({ kind: DENSE, bytes: denseBytes(dense), atPeak: denseBytes(dense) })
  if (reference) {
    store.push({ kind: 'frozen weights of the reference', bytes: reference.weights, atPeak: reference.weights })
    store.push({ kind: 'passes of the reference', bytes: reference.passes, atPeak: reference.passes })
  }
  if (beside > 0) store.push({ kind: 'other models over the base', bytes: beside, atPeak: beside })
  const total = largest.arena + store.reduce((sum, line) => sum + line.bytes, 0)
  const apart = new Map(plans.flatMap(({ buffers }) => buffers.flatMap(({ name, space, bytes }) => (space === 'store' && onHost.includes(name) ? [[name, bytes]] : [])))) // biome-ignore format: short
  const host = Math.max(...plans.map((plan) => plan.host)) + [...apart.values()].reduce((sum, bytes) => sum + bytes, 0)
  return {
    lines: [...store, ...lines],
    arena: largest.arena,
    total,
    host,
    overhead: overheadBytes(overhead),
    overheads: overhead,
    budget,
    peak,
  }
}

/** What lives in the arena at each step, by kind; a step's scratch counts as its kernel's. */
function arenaLines(plan: Plan): { lines: MemoryLine[]; peak: string } {
  const begins: number[][] = plan.steps.map(() => [])
  const ends: number[][] = plan.steps.map(() => [])
  plan.buffers.forEach((buffer, i) => {
    if (buffer.space === 'store' || buffer.space === 'host' || buffer.bytes === 0) return
    begins[buffer.from]?.push(i)
    ends[buffer.to]?.push(i)
  })
  const live = new Map<string, number>()
  const most = new Map<string, number>()
  const change = (kind: string, bytes: number) => {
    const now = (live.get(kind) ?? 0) + bytes
    live.set(kind, now)
    most.set(kind, Math.max(most.get(kind) ?? 0, now))
  }
  let fullest = -1
  let atPeak = new Map<string, number>()
  let peak = 'the start'
  plan.steps.forEach((step, i) => {
    // a buffer written over one that dies in the same step has its place: the two count once
    const dying = new Map(ends[i]!.filter((b) => plan.buffers[b]!.from < i).map((b) => [plan.buffers[b]!.at, b]))
    const gone = new Set<number>()
    for (const b of begins[i]!) {
      const heir = dying.get(plan.buffers[b]!.at)
      if (heir === undefined) continue
      gone.add(heir)
      change(plan.buffers[heir]!.kind, -plan.buffers[heir]!.bytes)
    }
    for (const b of begins[i]!) change(plan.buffers[b]!.kind, plan.buffers[b]!.bytes)
    const scratch = step.scratch?.bytes ?? 0
    change(SCRATCH, scratch)
    const sum = [...live.values()].reduce((a, b) => a + b, 0)
    if (sum > fullest) [fullest, atPeak, peak] = [sum, new Map(live), nameOf(plan, step, i)]
    change(SCRATCH, -scratch)
    for (const b of ends[i]!) if (!gone.has(b)) change(plan.buffers[b]!.kind, -plan.buffers[b]!.bytes)
  })
  const lines = [...most].filter(([, bytes]) => bytes > 0).map(([kind, bytes]) => ({ kind, bytes, atPeak: atPeak.get(kind) ?? 0 }))
  const gaps = plan.arena - Math.max(0, fullest)
  return { lines: gaps > 0 ? [...lines, { kind: 'gaps', bytes: gaps, atPeak: gaps }] : lines, peak }
}

const SCRATCH = 'kernels’ scratch'

function nameOf(plan: Plan, step: PlanStep, index: number): string {
  const segment = plan.segments.find((s) => index >= s.from && index < s.to)
  return `${segment ? `${segment.name} ` : ''}${step.name}`
}

/** What lies across steps; every plan that touches a tensor names it. */
function storeLines(
  plans: readonly Plan[],
  kindOf: (name: string) => string,
  nested: (name: string) => boolean,
  onHost: readonly string[],
): MemoryLine[] {
  const seen = new Set<string>(onHost)
  const sums = new Map<string, number>()
  for (const buffer of plans.flatMap((plan) => plan.buffers)) {
    if (buffer.space !== 'store' || seen.has(buffer.name)) continue
    seen.add(buffer.name)
    const scales = buffer.dtype === 'nf4' ? nf4ScaleBytes(buffer.rows * buffer.cols, nested(buffer.name)) : 0
    const kind = kindOf(buffer.name)
    sums.set(kind, (sums.get(kind) ?? 0) + buffer.bytes + scales)
  }
  return [...sums].map(([kind, bytes]) => ({ kind, bytes, atPeak: bytes }))
}

function storeKind(name: string, state: readonly string[]): string {
  if (name === 'parameters') return 'trained weights'
  if (name === 'gradients') return 'gradients'
  return state.includes(name) ? 'optimizer state' : 'frozen weights'
}
