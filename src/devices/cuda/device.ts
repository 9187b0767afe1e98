/**
 * The CUDA device: the same plans as on the CPU, on an NVIDIA card, from Node alone. Kernels are compiled for the card at first use, segments
 * are captured as graphs; a step then costs the host a few calls.
 */
import { SaqrError } from '../../error.ts'
import type { Plan } from '../../graph/plan.ts'
import type { Launch } from '../../ops/cuda-launch.ts'
import { busy, type Device, type DeviceDescription, type Limits, type LoadedPlan, type RunItem, type StoreSpec } from '../device.ts'
import { callAsync } from '../ffi.ts'
import { Card, type Pinned } from './card.ts'
import { Compiler } from './compiler.ts'
import { Kernels } from './kernels.ts'
import { Launcher } from './launcher.ts'
import { measure } from './limits.ts'
import { Matmuls } from './matmul.ts'
import { CudaPlan, type Places } from './plan.ts'
import { CudaStore } from './store.ts'

const NOT_READY = 600
/** steps shorter than this are not worth a thread's waking up */
const LOOK_MS = 1
/** a pass of so many tokens fills the card */
const PASS_TOKENS = 16384
/** shares of the limits (a cuBLASLt product, a copy) that steps reach */
const REACH = { compute: 0.68, copy: 0.6 }
/** the driver's context, modules, cuBLASLt's kernels and workspace */
const OVERHEAD = 650e6

export interface CudaOptions {
  /** which card; default the first */
  ordinal?: number
}

export class CudaDevice implements Device {
  readonly card: Card
  readonly matmuls: Matmuls
  readonly #compiler: Compiler
  readonly #kernels: Kernels
  readonly #launcher: Launcher
  readonly #store: CudaStore
  readonly #plans = new Set<CudaPlan>()
  readonly #places: Places = { arena: 0n, scratch: 0n, generation: 0 }
  readonly #finished: bigint
  #arenaBytes = 0
  #scratchBytes = 0
  #inputs: Pinned | undefined
  #limits: Limits | undefined
  /** a run is under way */
  #busy = false
  #disposed = false
  /** what the last run took of the host: uploads and launches */
  hostSeconds = 0

  /** @throws SaqrError DEVICE_CUDA_MISSING (no driver or card), DEVICE_CUDA_LIBRARY (no NVRTC or cuBLASLt) */
  constructor(options: CudaOptions = {}) {
    this.card = new Card(options.ordinal)
    this.#compiler = new Compiler(Math.floor(this.card.driverVersion / 1000))
    this.matmuls = new Matmuls(this.card)
    this.#kernels = new Kernels(this.card, this.#compiler)
    this.#launcher = new Launcher(this.card, this.#kernels, this.matmuls)
    this.#store = new CudaStore(this.card)
    this.#finished = this.card.driver.result('eventCreate', 2)
  }

  describe(): DeviceDescription {
    const { name, arch, multiprocessors, driverVersion } = this.card
    const driver = `${Math.floor(driverVersion / 1000)}.${(driverVersion % 1000) / 10}`
    return {
      kind: 'cuda',
      label: `${name}, ${multiprocessors} multiprocessors, sm_${arch}, driver for CUDA ${driver}, NVRTC ${this.#compiler.version}`,
      threads: 1,
      tokenQuantum: 128,
      passTokens: PASS_TOKENS,
      reach: REACH,
      overhead: OVERHEAD,
    }
  }

  /** The first call measures them, a few tenths of a second. */
  limits({ anew = false }: { anew?: boolean } = {}): Limits {
    if (anew) this.#limits = undefined
    return (this.#limits ??= measure(this.card, this.matmuls))
  }

  /** Enqueues launches outside of any plan, for measurements. */
  enqueue(launches: readonly Launch[]): void {
    for (const launch of launches) this.#launcher.launch(launch)
  }

  /** where the libraries were found */
  libraries(): { nvrtc: string; cublasLt: string } {
    return { nvrtc: this.#compiler.path, cublasLt: this.matmuls.path }
  }

  store(name: string, spec: StoreSpec): void {
    this.#alive()
    this.#store.add(name, spec)
  }

  has(name: string): boolean {
    return this.#store.has(name)
  }

  drop(name: string): void {
    this.card.synchronize()
    this.#store.drop(name)
  }

  writeStore(name: string, bytes: Uint8Array, byteOffset = 0): void {
    this.#store.write(name, bytes, byteOffset)
  }

  readStore(name: string, byteOffset = 0, bytes?: number): Uint8Array {
    return this.#store.read(name, byteOffset, bytes)
  }

  reserve(bytes: number): void {
    this.#alive()
    if (bytes <= this.#arenaBytes) return
    this.#places.arena = this.#grow(this.#places.arena, bytes, 'the arena')
    this.#arenaBytes = bytes
  }

  /** scratch of a step that only this device needs: dequantised weights, sums in two stages */
  #reserveScratch(bytes: number): void {
    if (bytes <= this.#scratchBytes) return
    this.#places.scratch = this.#grow(this.#places.scratch, bytes, 'scratch')
    this.#scratchBytes = bytes
  }

  #grow(address: bigint, bytes: number, what: string): bigint {
    this.card.synchronize()
    this.card.free(address)
    this.#places.generation++
    return this.card.alloc(bytes, what)
  }

  load(plan: Plan, options: { profile?: boolean } = {}): LoadedPlan {
    this.#alive()
    this.reserve(plan.arena)
    const loaded: CudaPlan = new CudaPlan(plan, options.profile ?? false, this.card, this.#store, this.#launcher, this.#places, () => {
      this.#plans.delete(loaded)
    })
    this.#reserveScratch(loaded.scratchBytes)
    this.#plans.add(loaded)
    this.#kernels.ready(loaded.sources).catch(() => {
      // `run` waits for the same promises and reports
    })
    return loaded
  }

  run(items: readonly RunItem[], inputs: Readonly<Record<string, ArrayBufferView>>, options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#alone(async () => {
      options.signal?.throwIfAborted()
      const plans = [...new Set(items.map((item) => item.plan as CudaPlan))]
      for (const plan of plans) await this.#kernels.ready(plan.sources)
      if (plans.length > 1) throw new Error('one run is of one plan: plans share the arena')
      const start = performance.now()
      if (plans[0]) this.#upload(plans[0], inputs)
      for (const { plan, segment } of items) {
        options.signal?.throwIfAborted()
        const cuda = plan as CudaPlan
        cuda.enqueue(segment)
        if (!cuda.seconds) continue
        await this.#done()
        cuda.addSeconds(segment)
      }
      this.hostSeconds = (performance.now() - start) / 1e3
      await this.#done()
    })
  }

  runSteps(plan: LoadedPlan, from: number, to: number): Promise<void> {
    return this.#alone(async () => {
      await this.#kernels.ready((plan as CudaPlan).sources)
      ;(plan as CudaPlan).runSteps(from, to)
    })
  }

  /** one at a time: what a run leaves in the arena is read before the next begins */
  async #alone(work: () => Promise<void>): Promise<void> {
    this.#alive()
    if (this.#busy) throw busy()
    this.#busy = true
    try {
      await work()
    } finally {
      this.#busy = false
    }
  }

  /** Waits for the stream with the event loop free: looking now and then at first, then on a thread of the pool (which takes 0.1 ms). */
  async #done(): Promise<void> {
    const { driver, stream } = this.card
    driver.call('eventRecord', this.#finished, stream, 0)
    for (const start = performance.now(); performance.now() - start < LOOK_MS; ) {
      const status = driver.raw.eventQuery(this.#finished) as number
      if (status === 0) return
      if (status !== NOT_READY) throw driver.error('eventQuery', status)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const status = (await callAsync(driver.raw.streamSynchronize, stream)) as number
    if (status !== 0) throw driver.error('streamSynchronize', status)
  }

  /** Inputs go through pinned memory, side by side, so that the copies run on the stream behind the host's back. */
  #upload(plan: CudaPlan, inputs: Readonly<Record<string, ArrayBufferView>>): void {
    const list = plan.plan.buffers.flatMap((b, i) => {
      const view = b.space === 'store' ? undefined : inputs[b.name]
      if (!view) return []
      if (view.byteLength > b.bytes) throw new Error(`input '${b.name}' has ${b.bytes} bytes, not ${view.byteLength}`)
      return [{ view, to: plan.address(i) }]
    })
    const align = (n: number) => Math.ceil(n / 256) * 256
    const total = list.reduce((sum, { view }) => sum + align(view.byteLength), 0)
    if (!this.#inputs || this.#inputs.bytes.length < total) {
      if (this.#inputs) this.card.unpin(this.#inputs)
      this.#inputs = this.card.pin(Math.max(total, 1 << 20))
    }
    let at = 0
    for (const { view, to } of list) {
      this.#inputs.bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), at)
      this.card.driver.call('copyToDevice', to, this.#inputs.address + BigInt(at), view.byteLength, this.card.stream)
      at += align(view.byteLength)
    }
  }

  read(plan: LoadedPlan, buffer: string): Uint8Array {
    const p = plan as CudaPlan
    const i = p.plan.buffers.findIndex((b) => b.name === buffer)
    if (i < 0) throw new Error(`the plan has no buffer '${buffer}'`)
    return this.card.download(p.address(i), p.plan.buffers[i]!.bytes)
  }

  available(): number {
    const { arena, store } = this.resident()
    return this.card.memory().free + arena + store
  }

  resident() {
    return { arena: this.#arenaBytes + this.#scratchBytes, store: this.#store.bytes(), mapped: 0 }
  }

  #alive(): void {
    if (this.#disposed) throw new SaqrError('DEVICE_DISPOSED', 'this device was disposed of')
  }

  dispose(): void {
    if (this.#disposed) return
    this.card.synchronize()
    this.#disposed = true
    for (const plan of [...this.#plans]) plan.dispose()
    this.#store.dispose()
    this.card.free(this.#places.arena)
    this.card.free(this.#places.scratch)
    if (this.#inputs) this.card.unpin(this.#inputs)
    this.card.driver.call('eventDestroy', this.#finished)
    this.#launcher.dispose()
    this.matmuls.dispose()
    this.#kernels.dispose()
    this.card.dispose()
  }
}
