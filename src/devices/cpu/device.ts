/** The CPU device: plans as native code, one asynchronous call a run, all cores, any moment abortable. */
import { totalmem } from 'node:os'
import { SaqrError } from '../../error.ts'
import type { Plan } from '../../graph/plan.ts'
import { BLOCKS, DTYPES } from '../../ops/tensor.ts'
import {
  bufferOf,
  type Device,
  type DeviceDescription,
  disposed,
  type Limits,
  type LoadedPlan,
  type PassInputs,
  type RunItem,
  type RunOptions,
  runOnce,
  type StoreSpec,
  segmentOf,
  type Turn,
} from '../device.ts'
import { callAsync, ffi } from '../ffi.ts'
import { limitsOf } from '../limits.ts'
import { ownMemory } from '../own-memory.ts'
import { Turns } from '../turns.ts'
import { encodePlan, type Placed } from './encode.ts'
import { type Native, nativeLibrary } from './library.ts'
import { type Processors, processors, threadsText, usualThreads } from './processors.ts'
import { Store } from './store.ts'

/** sizeof(Item) and sizeof(Control) of native/api.cpp */
const ITEM = 24
const CONTROL = 16

export interface CpuOptions {
  /** default: as many as the process may use (affinity, quota of its control group) */
  threads?: number
  /** default: the best this processor runs */
  variant?: string
}

class CpuPlan implements LoadedPlan {
  readonly plan: Plan
  /** the native plan and its places; of the arena of `generation`, −1: none yet */
  handle = 0n
  placed: readonly Placed[] = []
  generation = -1
  /** store tensors it reads or writes */
  readonly stored: ReadonlySet<string>
  readonly seconds: Float64Array | undefined
  /** where native code writes `seconds`, 0n without */
  readonly secondsAt: bigint
  readonly #free: () => void

  constructor(plan: Plan, profile: boolean, free: () => void) {
    this.plan = plan
    this.stored = new Set(plan.buffers.filter((b) => b.space === 'store').map((b) => b.name))
    this.seconds = profile ? new Float64Array(new ArrayBuffer(plan.steps.length * 8)) : undefined
    this.secondsAt = this.seconds ? ffi().address(this.seconds.buffer as ArrayBuffer) : 0n
    this.#free = free
  }
  dispose(): void {
    this.#free()
  }
}

/** of the tiles' probe on a Xeon (bench/results/tiles-xeon-2.txt): products mostly 0.19 to 0.26, attention mostly 0.11 to 0.19 */
const TILES = { compute: 0.2, pairs: 0.14 }

export class CpuDevice implements Device {
  readonly #native: Native
  /** better variants that this process may not run, and why */
  readonly #leftOut: string
  readonly #pool: bigint
  readonly #store: Store
  readonly #threads: number
  readonly #processors: Processors
  readonly #plans = new Set<CpuPlan>()
  /** JavaScript's own memory, which native code reads and writes while it runs */
  readonly #control = new Int32Array(new ArrayBuffer(CONTROL))
  readonly #turns = new Turns()
  readonly #turn: Turn = {
    run: (items, inputs, signal) => this.#run(items, inputs, signal),
    runSteps: (plan, from, to) => this.#call(plan as CpuPlan, [{ from, to }]),
    read: (plan, buffer) => this.#read(plan as CpuPlan, buffer),
  }
  #arena = 0n
  #arenaBytes = 0
  /** bytes the arena grows to before the next run */
  #wanted = 0
  /** changes when the arena moves */
  #generation = 0
  #disposed = false

  constructor(options: CpuOptions = {}) {
    ownMemory() // without which nothing is planned
    const { native, leftOut } = nativeLibrary(options.variant)
    this.#native = native
    this.#leftOut = leftOut
    this.#processors = processors()
    this.#threads = options.threads ?? usualThreads(this.#processors)
    this.#pool = this.#native.poolCreate(this.#threads) as bigint
    if (!this.#pool)
      throw new SaqrError('DEVICE_THREADS', `${this.#native.lastError()}: ask for fewer (threads), or allow this process more`)
    this.#store = new Store(this.#native)
  }

  /** of the native library, by the processor it is for: `x86-64-v3` */
  get variant(): string {
    return this.#native.variant() as string
  }

  describe(): DeviceDescription {
    const { variant } = this
    const label = `${threadsText(this.#threads, this.#processors)}, ${variant}${this.#leftOut && ` (${this.#leftOut})`}`
    // whole steps of bench:cpu run at 0.76 to 0.84 of the multiply-add probe, memory-bound ops of bench:ops at 0.7 of the copy probe and more
    const reach = { compute: 0.8, pairs: 0.8, copy: 0.7, launch: 0, ...(variant.includes('amx') ? { bf16: TILES } : {}) }
    // Node, rows, and a tokenizer: RSS of 287 MB with Llama 3's 128,256 tokens and 347 MB with Gemma 3's 262,144, and what a checkpoint writes of it
    const memory = { overhead: [{ kind: 'Node, its libraries, rows', bytes: 188e6 }], overheadPerToken: 1500 }
    return {
      kind: 'cpu',
      label,
      threads: this.#threads,
      tokenQuantum: 16,
      passTokens: 2048,
      reach,
      has: (op) => (this.#native.kernel(op) as number) >= 0,
      blocks: BLOCKS.filter((type) => this.#native.quickInBlocks(DTYPES.indexOf(type))),
      ...memory,
    }
  }

  limits({ anew = false }: { anew?: boolean } = {}): Limits {
    const n = this.#native
    const measure = (): Limits => {
      const f32 = (n.probeFma(this.#pool, 0) as number) * 1e9
      return { f32, bf16: (n.probeFma(this.#pool, 1) as number) * 1e9 || f32, copy: (n.probeCopy(this.#pool) as number) * 1e9 }
    }
    return limitsOf(`cpu, ${this.describe().label}`, measure, anew)
  }

  store(name: string, spec: StoreSpec): void {
    this.#alive()
    this.#store.add(name, spec)
  }

  has(name: string): boolean {
    return this.#store.has(name)
  }

  drop(name: string): void {
    if (this.#disposed) return
    const free = this.#store.drop(name)
    for (const plan of this.#plans) if (plan.stored.has(name)) plan.generation = -1
    this.#turns.whenFree(free)
  }

  writeStore(name: string, bytes: Uint8Array, byteOffset = 0): void {
    this.#alive()
    this.#store.write(name, byteOffset, bytes)
  }

  readStore(name: string, byteOffset = 0, bytes?: number): Uint8Array {
    this.#alive()
    return this.#store.read(name, byteOffset, bytes)
  }

  storeBytes(name: string, byteOffset: number, bytes: number): Uint8Array | undefined {
    this.#alive()
    return this.#store.view(name, byteOffset, bytes)
  }

  reserve(bytes: number): void {
    this.#alive()
    if (this.#turns.free) {
      this.#wanted = Math.max(bytes, ...[...this.#plans].map(({ plan }) => plan.arena + plan.host))
      if (this.#wanted < this.#arenaBytes) this.#freeArena()
    }
    this.#want(bytes)
  }

  #want(bytes: number): void {
    this.#wanted = Math.max(this.#wanted, bytes)
    if (this.#turns.free) this.#grow()
  }

  #grow(): void {
    if (this.#wanted <= this.#arenaBytes) return
    const bytes = this.#wanted
    this.#freeArena()
    const address = this.#native.alloc(bytes) as bigint | null
    this.#generation++ // whatever happens, no plan may run at the old addresses
    if (!address) {
      this.#wanted = 0
      throw new SaqrError('MEMORY_REFUSED', `the arena: ${this.#native.lastError()}`)
    }
    this.#arena = address
    this.#arenaBytes = bytes
  }

  load(plan: Plan, options: { profile?: boolean } = {}): LoadedPlan {
    this.#alive()
    const loaded: CpuPlan = new CpuPlan(plan, options.profile ?? false, () => {
      if (!this.#plans.delete(loaded)) return
      this.#turns.whenFree(() => this.#native.planFree(loaded.handle))
    })
    this.#plans.add(loaded)
    try {
      this.#want(plan.arena + plan.host)
      if (this.#turns.free) this.#ready(loaded)
    } catch (error) {
      loaded.dispose()
      throw error
    }
    return loaded
  }

  /** the plan with the addresses of now */
  #ready(loaded: CpuPlan): void {
    if (!this.#plans.has(loaded)) throw disposed('this plan')
    this.#wanted = Math.max(this.#wanted, loaded.plan.arena + loaded.plan.host) // a growth that was refused left no arena
    this.#grow()
    if (loaded.generation === this.#generation) return
    const { plan } = loaded
    loaded.placed = plan.buffers.map((b): Placed => {
      if (b.space === 'host') return { address: this.#arena + BigInt(plan.arena + b.at), quant: 0n }
      if (b.space !== 'store') return { address: this.#arena + BigInt(b.at), quant: 0n }
      if (!this.#store.has(b.name)) throw disposed(`'${b.name}', which this plan reads,`)
      const { spec, data, quant } = this.#store.entry(b.name)
      if (spec.rows !== b.rows || spec.cols !== b.cols || spec.dtype !== b.dtype) {
        throw new Error(`'${b.name}' is ${spec.rows} × ${spec.cols} ${spec.dtype}; the plan wants ${b.rows} × ${b.cols} ${b.dtype}`)
      }
      return { address: data.address, quant }
    })
    const bytes = encodePlan(plan, loaded.placed, this.#arena, (op) => this.#native.kernel(op) as number)
    const handle = this.#native.planLoad(bytes, bytes.byteLength) as bigint | null
    if (!handle) throw new Error(`the CPU library refused the plan: ${this.#native.lastError()}`)
    if (loaded.handle) this.#native.planFree(loaded.handle)
    loaded.handle = handle
    loaded.generation = this.#generation
  }

  async turn<T>(work: (turn: Turn) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#alive()
    return this.#turns.take(() => {
      this.#alive()
      return work(this.#turn)
    }, signal)
  }

  run(items: readonly RunItem[], inputs: PassInputs, options?: RunOptions): Promise<Uint8Array[]> {
    return runOnce(this, items, inputs, options)
  }

  async #run(items: readonly RunItem[], inputs: PassInputs, signal?: AbortSignal): Promise<void> {
    const first = items[0]?.plan as CpuPlan | undefined
    if (!first) return
    if (items.some((item) => item.plan !== first)) throw new Error('one run is of one plan: plans share the arena')
    this.#ready(first)
    this.#upload(first, inputs)
    const ranges = items.map(({ plan, segment }) => segmentOf(plan, segment))
    await this.#call(first, ranges, signal)
  }

  async #call(plan: CpuPlan, ranges: readonly { from: number; to: number }[], signal?: AbortSignal): Promise<void> {
    this.#alive()
    signal?.throwIfAborted()
    this.#ready(plan)
    const items = new DataView(new ArrayBuffer(ranges.length * ITEM))
    ranges.forEach(({ from, to }, i) => {
      items.setBigUint64(i * ITEM, plan.handle, true)
      items.setInt32(i * ITEM + 8, from, true)
      items.setInt32(i * ITEM + 12, to, true)
      items.setBigUint64(i * ITEM + 16, plan.secondsAt, true)
    })
    const control = this.#control
    control.fill(0)
    const abort = () => {
      control[0] = 1
    }
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const status = await callAsync(
        this.#native.run,
        this.#pool,
        new Uint8Array(items.buffer),
        ranges.length,
        ffi().address(control.buffer as ArrayBuffer),
      )
      if (status === 1) {
        this.#alive()
        signal?.throwIfAborted()
      }
      if (status !== 0) {
        const step = plan.plan.steps[control[2]!]
        throw new SaqrError('DEVICE_UNSUPPORTED', `op ${step?.op} of ${step?.name}: ${this.#native.poolError(this.#pool)}`)
      }
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  #upload(plan: CpuPlan, inputs: PassInputs): void {
    plan.plan.buffers.forEach((b, i) => {
      const view = b.space === 'store' ? undefined : inputs[b.name]
      if (!view) return
      if (view.byteLength > b.bytes) throw new Error(`input '${b.name}' has ${b.bytes} bytes, not ${view.byteLength}`)
      this.#native.copy(plan.placed[i]!.address, view, view.byteLength)
    })
  }

  #read(plan: CpuPlan, buffer: string): Uint8Array {
    const i = bufferOf(plan, buffer)
    const bytes = new Uint8Array(plan.plan.buffers[i]!.bytes)
    this.#native.copy(bytes, plan.placed[i]!.address, bytes.byteLength)
    return bytes
  }

  available(): number {
    return process.availableMemory() + ownMemory().rss
  }

  free(): number {
    const { arena, store, mapped } = this.resident()
    const limit = process.constrainedMemory()
    // a container's limit has counted what was read of files already; a machine counts that as available, so that it is taken off whole
    const limited = limit > 0 && limit < totalmem()
    const { rss, heapTotal, external } = ownMemory()
    const counted = limited ? Math.min(mapped, Math.max(0, rss - heapTotal - external - arena - store)) : 0
    return Math.max(0, process.availableMemory() - (mapped - counted))
  }

  resident() {
    const arena = this.#arena ? Number(this.#native.resident(this.#arena, this.#arenaBytes)) : 0
    return { arena, ...this.#store.size() }
  }

  #alive(): void {
    if (this.#disposed) throw disposed()
  }

  #freeArena(): void {
    if (this.#arena) this.#native.free(this.#arena, this.#arenaBytes)
    this.#arena = 0n
    this.#arenaBytes = 0
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#control[0] = 1
    this.#turns.refuse(disposed())
    for (const plan of [...this.#plans]) plan.dispose()
    this.#turns.whenFree(() => {
      this.#store.dispose()
      this.#freeArena()
      this.#native.poolDestroy(this.#pool)
    })
  }
}
