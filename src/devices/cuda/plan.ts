/** A plan on the card: its steps as launches on fixed addresses, its segments as captured graphs. */
import { SaqrError, say } from '../../error.ts'
import type { Plan, PlanStep, PlanTensor, Segment } from '../../graph/plan.ts'
import { complete } from '../../ops/attrs.ts'
import type { Card as CardFacts, CudaOp, CudaSource, CudaStep, CudaTensor, Launch } from '../../ops/cuda-launch.ts'
import { cudaOps } from '../../ops/generated/cuda.ts'
import type { For, Node } from '../../ops/op.ts'
import { sizeOf, type Tensor } from '../../ops/tensor.ts'
import { disposed, type LoadedPlan, segmentOf } from '../device.ts'
import type { Card } from './card.ts'
import type { Launcher } from './launcher.ts'
import { Queues } from './queues.ts'
import type { CudaStore } from './store.ts'

/** CU_EVENT_RECORD_EXTERNAL: a node of the graph, recorded at every replay */
const EXTERNAL = 1

/** Where the arena and the memory on the host's side lie now. `generation` changes when one of them, or a store tensor, moves. */
export interface Places {
  arena: bigint
  host: bigint
  generation: number
}

/** what a node's launches need beside its tensors, bytes: known from shapes and types alone */
export function scratchOf({ op, name, attrs, inputs, outputs }: Node, card: CardFacts): number {
  const run = cudaOps[op.name]?.run
  if (!run?.scratch) return 0
  const shape = ({ rows, cols, stride, dtype }: Tensor): CudaTensor => ({ at: 0n, rows, cols, stride, dtype, quant: null })
  const step = { name, op, attrs: complete(op, attrs), inputs: inputs.map((t) => t && shape(t)), outputs: outputs.map(shape) }
  return run.scratch(step, card)
}

export class CudaPlan implements LoadedPlan {
  readonly plan: Plan
  readonly seconds: Float64Array | undefined
  readonly #card: Card
  readonly #store: CudaStore
  readonly #launcher: Launcher
  readonly #places: Places
  readonly #forget: (free: () => void) => void
  #disposed = false
  /** a store tensor it reads that is there no more */
  #missing: string | undefined
  readonly #graphs = new Map<string, bigint>()
  /** profile: the moment before each step, and after the last */
  readonly #events: bigint[] = []
  #launches: Launch[][] = []
  #generation = -1
  #sources: Set<CudaSource>
  #sourcesOf: number

  constructor(
    plan: Plan,
    profile: boolean,
    card: Card,
    store: CudaStore,
    launcher: Launcher,
    places: Places,
    forget: (free: () => void) => void,
  ) {
    this.plan = plan
    this.#card = card
    this.#store = store
    this.#launcher = launcher
    this.#places = places
    this.#forget = forget
    this.#sources = this.#sourcesNow()
    this.#sourcesOf = places.generation
    if (profile) {
      this.seconds = new Float64Array(plan.steps.length)
      for (let i = 0; i <= plan.steps.length; i++) this.#events.push(card.driver.result('eventCreate', 0))
    }
  }

  /** what its kernels are compiled from: a weight that is kept in another form takes other kernels */
  get sources(): ReadonlySet<CudaSource> {
    this.#alive()
    if (this.#sourcesOf !== this.#places.generation) {
      this.#sources = this.#sourcesNow()
      this.#sourcesOf = this.#places.generation
    }
    return this.#sources
  }

  #sourcesNow(): Set<CudaSource> {
    return new Set(this.plan.steps.flatMap((step) => this.#made(step).flatMap((l) => (l.kind === 'kernel' ? [l.source] : []))))
  }

  /** first byte of a buffer */
  address(buffer: number): bigint {
    const b = this.plan.buffers[buffer]!
    if (b.space === 'store') return this.#store.get(b.name).at
    return this.#places[b.space === 'host' ? 'host' : 'arena'] + BigInt(b.at)
  }

  #resolve(step: PlanStep): CudaStep {
    const tensor = (t: PlanTensor): CudaTensor => {
      const b = this.plan.buffers[t.buffer]!
      const stored = b.space === 'store' ? this.#store.get(b.name) : null
      if (stored && (stored.spec.rows !== b.rows || stored.spec.cols !== b.cols || stored.spec.dtype !== b.dtype)) {
        const { rows, cols, dtype } = stored.spec
        throw new Error(`'${b.name}' is ${rows} × ${cols} ${dtype}; the plan wants ${b.rows} × ${b.cols} ${b.dtype}`)
      }
      if (stored?.dense && t.offset === 0 && t.rows === b.rows && t.cols === b.cols) return stored.dense
      const at = this.address(t.buffer) + BigInt(sizeOf({ rows: 1, cols: t.offset, dtype: b.dtype }))
      return { at, rows: t.rows, cols: t.cols, stride: t.stride, dtype: b.dtype, quant: stored?.quant ?? null }
    }
    return {
      name: step.name,
      op: opOf(step).op,
      attrs: step.attrs,
      outputs: step.outputs.map(tensor),
      inputs: step.inputs.map((t) => t && tensor(t)),
    }
  }

  #made(step: PlanStep): Launch[] {
    const { run } = opOf(step)
    const resolved = this.#resolve(step)
    const needed = run.scratch?.(resolved, this.#card) ?? 0
    if (needed > (step.scratch?.bytes ?? 0)) throw new Error(`${step.name}: the plan was lowered without this device's scratch`)
    return run.launch(resolved, this.#places.arena + BigInt(step.scratch?.at ?? 0), this.#card)
  }

  /** the launches of a step on the addresses of now */
  #launchesOf(index: number): Launch[] {
    this.#alive()
    if (this.#generation !== this.#places.generation) {
      this.#dropGraphs()
      this.#launches = this.plan.steps.map((step) => this.#made(step))
      this.#generation = this.#places.generation
    }
    return this.#launches[index]!
  }

  /** every launch of steps [from, to), for measurements */
  launches(from: number, to: number): Launch[][] {
    return Array.from({ length: to - from }, (_, i) => this.#launchesOf(from + i))
  }

  /** Enqueues one step. The driver's errors come with the step, its op and its shapes. */
  #enqueue(index: number, beside?: bigint): void {
    try {
      for (const launch of this.#launchesOf(index)) this.#launcher.launch(launch, beside)
    } catch (cause) {
      throw this.#explain(index, cause)
    }
  }

  #explain(index: number, cause: unknown): unknown {
    if (!(cause instanceof SaqrError)) return cause
    const step = this.plan.steps[index]!
    const shape = (t: PlanTensor | null) => (t ? `${t.rows} × ${t.cols} ${this.plan.buffers[t.buffer]!.dtype}` : '–')
    const shapes = `${step.inputs.map(shape).join(', ')} -> ${step.outputs.map(shape).join(', ')}`
    return new SaqrError(cause.code, say`${step.op} of ${step.name} (${shapes}; op ${index} of the plan): ${cause.said}`, { cause })
  }

  /** What failed while segments ran as graphs: the driver tells it at the end, and not of which op. */
  explainGraphs(segments: readonly string[], cause: unknown): unknown {
    if (!(cause instanceof SaqrError)) return cause
    const names = [...new Set(segments)].join(', ')
    return new SaqrError(cause.code, say`one of the ${this.plan.steps.length} ops of ${names}: ${cause.said}`, { cause })
  }

  /** Runs steps one by one, waiting for each: an error names its step. */
  runSteps(from: number, to: number): void {
    for (let i = from; i < to; i++) {
      this.#enqueue(i)
      try {
        this.#card.synchronize()
      } catch (cause) {
        throw this.#explain(i, cause)
      }
    }
  }

  /** Enqueues a segment: as one graph; the first time, where it was not captured ahead, step by step. */
  enqueue(name: string): void {
    const segment = segmentOf(this, name)
    if (segment.from === segment.to) return
    this.#launchesOf(segment.from)
    const graph = this.#graphs.get(name)
    if (graph) {
      this.#card.driver.call('graphLaunch', graph, this.#card.stream)
    } else {
      this.runSteps(segment.from, segment.to)
      this.#graphs.set(name, this.#capture(segment))
    }
  }

  /** Captures its segments on the addresses of now, so that none has a first run step by step. */
  captureAll(): void {
    for (const segment of this.plan.segments) {
      if (segment.from === segment.to) continue
      this.#launchesOf(segment.from)
      if (!this.#graphs.has(segment.name)) this.#graphs.set(segment.name, this.#capture(segment))
    }
  }

  #capture({ from, to }: Segment): bigint {
    const card = this.#card
    const queues = new Queues(card)
    const clock = (i: number) => {
      if (this.seconds) card.driver.call('eventRecord', this.#events[i]!, card.stream, EXTERNAL)
    }
    try {
      return card.capture(() => {
        for (let i = from; i < to; i++) {
          clock(i)
          queues.waitFor(i)
          const { beside } = this.plan.steps[i]!
          // with a clock at every step kernels run in their turn: what each takes by itself
          if (!beside || (this.seconds && beside.on === 'kernels')) this.#enqueue(i)
          else queues.begin(beside, (stream) => this.#enqueue(i, stream))
        }
        queues.waitFor(to)
        clock(to)
      })
    } finally {
      queues.dispose()
    }
  }

  /** profile: adds what the segment's replay, which is over, took */
  addSeconds(name: string): void {
    const { from, to } = segmentOf(this, name)
    const ms = new Float32Array(1)
    for (let i = from; i < to; i++) {
      // the first run of a segment is step by step, without these events
      if (this.#card.driver.raw.eventElapsed(ms, this.#events[i]!, this.#events[i + 1]!) === 0) this.seconds![i]! += ms[0]! / 1e3
    }
  }

  #dropGraphs(): void {
    for (const graph of this.#graphs.values()) this.#card.driver.release('executableDestroy', graph)
    this.#graphs.clear()
  }

  /** the store no longer has this tensor */
  without(name: string): void {
    if (this.plan.buffers.some((b) => b.space === 'store' && b.name === name)) this.#missing = name
  }

  #alive(): void {
    if (this.#disposed) throw disposed('this plan')
    if (this.#missing !== undefined) throw disposed(`'${this.#missing}', which this plan reads,`)
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#forget(() => {
      this.#dropGraphs()
      for (const event of this.#events.splice(0)) this.#card.driver.release('eventDestroy', event)
    })
  }
}

function opOf(step: PlanStep): For<CudaOp> {
  const op = cudaOps[step.op]
  if (!op) throw new SaqrError('DEVICE_UNSUPPORTED', `${step.name}: the CUDA device has no kernel for '${step.op}'.`)
  return op
}
