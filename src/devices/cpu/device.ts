/** The CPU device: plans as native code, one asynchronous call a run, all cores, any moment abortable. */
import { availableParallelism } from 'node:os'
import { SaqrError } from '../../error.ts'
import type { Plan } from '../../graph/plan.ts'
import { busy, type Device, type DeviceDescription, type Limits, type LoadedPlan, type RunItem, type StoreSpec } from '../device.ts'
import { callAsync, ffi } from '../ffi.ts'
import { limitsOf } from '../limits.ts'
import { describe, type Placed } from './describe.ts'
import { type Native, nativeLibrary } from './library.ts'
import { Store } from './store.ts'

/** sizeof(Item) and sizeof(Control) of native/api.cpp */
const ITEM = 24
const CONTROL = 16

export interface CpuOptions {
  /** default: as many as the process may use */
  threads?: number
  /** default: the best this processor runs */
  variant?: string
}

class CpuPlan implements LoadedPlan {
  readonly plan: Plan
  /** moves with the arena */
  handle = 0n
  placed: readonly Placed[] = []
  readonly seconds: Float64Array | undefined
  /** native memory of `seconds`, 0n without */
  readonly secondsAt: bigint
  readonly #free: () => void

  constructor(plan: Plan, profile: { at: bigint; seconds: Float64Array } | undefined, free: () => void) {
    this.plan = plan
    this.seconds = profile?.seconds
    this.secondsAt = profile?.at ?? 0n
    this.#free = free
  }
  dispose(): void {
    this.#free()
  }
}

export class CpuDevice implements Device {
  readonly #native: Native
  readonly #pool: bigint
  readonly #store: Store
  readonly #threads: number
  readonly #plans = new Set<CpuPlan>()
  readonly #control: bigint
  readonly #controlWords: Int32Array
  #arena = 0n
  #arenaBytes = 0
  #disposed = false
  /** a run is under way */
  #busy = false

  constructor(options: CpuOptions = {}) {
    this.#native = nativeLibrary(options.variant)
    this.#threads = options.threads ?? availableParallelism()
    this.#pool = this.#native.poolCreate(this.#threads) as bigint
    this.#store = new Store(this.#native)
    this.#control = this.#native.alloc(CONTROL) as bigint
    this.#controlWords = new Int32Array(ffi().view(this.#control, CONTROL))
  }

  describe(): DeviceDescription {
    const label = `${this.#threads} threads, ${this.#native.variant() as string}`
    // whole steps of bench:cpu run at 0.76 to 0.84 of the multiply-add probe, memory-bound ops of bench:ops at 0.7 of the copy probe and more
    const reach = { compute: 0.8, copy: 0.7 }
    return { kind: 'cpu', label, threads: this.#threads, tokenQuantum: 16, passTokens: 2048, reach, overhead: 250 * 2 ** 20 }
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
    this.#store.add(name, spec)
  }

  has(name: string): boolean {
    return this.#store.has(name)
  }

  drop(name: string): void {
    this.#store.drop(name)
  }

  writeStore(name: string, bytes: Uint8Array, byteOffset = 0): void {
    this.#store.view(name, byteOffset, bytes.byteLength).set(bytes)
  }

  readStore(name: string, byteOffset = 0, bytes?: number): Uint8Array {
    return this.#store.view(name, byteOffset, bytes).slice()
  }

  reserve(bytes: number): void {
    if (bytes <= this.#arenaBytes) return
    this.#freeArena()
    const address = this.#native.alloc(bytes) as bigint | null
    if (!address) throw new SaqrError('MEMORY_REFUSED', `the arena: ${this.#native.lastError()}`)
    this.#arena = address
    this.#arenaBytes = bytes
    for (const plan of this.#plans) this.#resolve(plan)
  }

  load(plan: Plan, options: { profile?: boolean } = {}): LoadedPlan {
    this.#alive()
    if (plan.arena > this.#arenaBytes) this.reserve(plan.arena)
    const size = plan.steps.length * 8
    const at = options.profile ? (this.#native.alloc(size) as bigint) : 0n
    const profile = options.profile ? { at, seconds: new Float64Array(ffi().view(at, size)) } : undefined
    const loaded: CpuPlan = new CpuPlan(plan, profile, () => {
      if (!this.#plans.delete(loaded)) return
      this.#native.planFree(loaded.handle)
      if (at) this.#native.free(at, size)
    })
    this.#resolve(loaded)
    this.#plans.add(loaded)
    return loaded
  }

  /** the plan with the addresses of now */
  #resolve(loaded: CpuPlan): void {
    const { plan } = loaded
    loaded.placed = plan.buffers.map((b): Placed => {
      if (b.space !== 'store') return { address: this.#arena + BigInt(b.at), quant: 0n }
      const { spec, data, quant } = this.#store.entry(b.name)
      if (spec.rows !== b.rows || spec.cols !== b.cols || spec.dtype !== b.dtype) {
        throw new Error(`'${b.name}' is ${spec.rows} × ${spec.cols} ${spec.dtype}; the plan wants ${b.rows} × ${b.cols} ${b.dtype}`)
      }
      return { address: data.address, quant }
    })
    const bytes = describe(plan, loaded.placed, this.#arena, (op) => this.#native.kernel(op) as number)
    const handle = this.#native.planLoad(bytes, bytes.byteLength) as bigint | null
    if (!handle) throw new Error(`the CPU library refused the plan: ${this.#native.lastError()}`)
    if (loaded.handle) this.#native.planFree(loaded.handle)
    loaded.handle = handle
  }

  async run(
    items: readonly RunItem[],
    inputs: Readonly<Record<string, ArrayBufferView>>,
    options: { signal?: AbortSignal } = {},
  ): Promise<void> {
    options.signal?.throwIfAborted()
    const first = items[0]?.plan as CpuPlan | undefined
    if (!first) return
    if (this.#busy) throw busy()
    if (items.some((item) => item.plan !== first)) throw new Error('one run is of one plan: plans share the arena')
    this.#upload(first, inputs)
    const ranges = items.map(({ plan, segment }) => {
      const found = plan.plan.segments.find((s) => s.name === segment)
      if (!found) throw new Error(`the plan has no segment '${segment}'`)
      return found
    })
    await this.#call(first, ranges, options.signal)
  }

  async runSteps(plan: LoadedPlan, from: number, to: number): Promise<void> {
    await this.#call(plan as CpuPlan, [{ from, to }])
  }

  async #call(plan: CpuPlan, ranges: readonly { from: number; to: number }[], signal?: AbortSignal): Promise<void> {
    this.#alive()
    const items = new DataView(new ArrayBuffer(ranges.length * ITEM))
    ranges.forEach(({ from, to }, i) => {
      items.setBigUint64(i * ITEM, plan.handle, true)
      items.setInt32(i * ITEM + 8, from, true)
      items.setInt32(i * ITEM + 12, to, true)
      items.setBigUint64(i * ITEM + 16, plan.secondsAt, true)
    })
    const control = this.#controlWords
    control.fill(0)
    const abort = () => {
      control[0] = 1
    }
    signal?.addEventListener('abort', abort, { once: true })
    this.#busy = true
    try {
      const status = await callAsync(this.#native.run, this.#pool, new Uint8Array(items.buffer), ranges.length, this.#control)
      if (status === 1) signal?.throwIfAborted()
      if (status !== 0) {
        const step = plan.plan.steps[control[2]!]
        throw new Error(`op ${step?.op} of ${step?.name}: ${this.#native.lastError()}`)
      }
    } finally {
      this.#busy = false
      signal?.removeEventListener('abort', abort)
    }
  }

  #upload(plan: CpuPlan, inputs: Readonly<Record<string, ArrayBufferView>>): void {
    plan.plan.buffers.forEach((b, i) => {
      const view = b.space === 'store' ? undefined : inputs[b.name]
      if (!view) return
      if (view.byteLength > b.bytes) throw new Error(`input '${b.name}' has ${b.bytes} bytes, not ${view.byteLength}`)
      this.#native.copy(plan.placed[i]!.address, view, view.byteLength)
    })
  }

  read(plan: LoadedPlan, buffer: string): Uint8Array {
    const { plan: p, placed } = plan as CpuPlan
    const i = p.buffers.findIndex((b) => b.name === buffer)
    if (i < 0) throw new Error(`the plan has no buffer '${buffer}'`)
    return new Uint8Array(ffi().view(placed[i]!.address, p.buffers[i]!.bytes)).slice()
  }

  available(): number {
    return process.availableMemory() + process.memoryUsage.rss()
  }

  resident() {
    const arena = this.#arena ? Number(this.#native.resident(this.#arena, this.#arenaBytes)) : 0
    return { arena, ...this.#store.size() }
  }

  #alive(): void {
    if (this.#disposed) throw new SaqrError('DEVICE_DISPOSED', 'this device was disposed of')
  }

  #freeArena(): void {
    if (this.#arena) this.#native.free(this.#arena, this.#arenaBytes)
    this.#arena = 0n
    this.#arenaBytes = 0
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    for (const plan of [...this.#plans]) plan.dispose()
    this.#store.dispose()
    this.#freeArena()
    this.#native.free(this.#control, CONTROL)
    this.#native.poolDestroy(this.#pool)
  }
}
