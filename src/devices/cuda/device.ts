/**
 * The CUDA device: the same plans as on the CPU, on an NVIDIA card, from Node alone. Kernels are compiled for the card at first use, segments
 * are captured as graphs; a step then costs the host a few calls.
 */
import type { Plan } from '../../graph/plan.ts'
import type { Launch } from '../../ops/cuda-launch.ts'
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
  type StoreSpec,
  type Turn,
} from '../device.ts'
import { limitsOf } from '../limits.ts'
import { Turns } from '../turns.ts'
import { Card } from './card.ts'
import { Compiler } from './compiler.ts'
import { describeCard } from './description.ts'
import { Flight, type Piece } from './flight.ts'
import { Kernels } from './kernels.ts'
import { Launcher } from './launcher.ts'
import { measure } from './limits.ts'
import { Matmuls } from './matmul.ts'
import { CudaPlan, type Places } from './plan.ts'
import { CudaStore } from './store.ts'

export interface CudaOptions {
  /** which card; default the first that saqr can use */
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
  readonly #places: Places = { arena: 0n, host: 0n, generation: 0 }
  #arenaBytes = 0
  #hostBytes = 0
  /** of runs that are over */
  readonly #flights: Flight[] = []
  /** bytes that the arena, and what is offloaded, grow to before the next run */
  #wanted = 0
  #hostWanted = 0
  /** store tensors that are to lie elsewhere */
  readonly #moves = new Map<string, 'host' | 'device'>()
  readonly #turns = new Turns()
  readonly #turn: Turn = {
    run: async (items, inputs, signal) => {
      await this.#run(items, inputs, { signal })
    },
    runSteps: (plan, from, to) => this.#runSteps(plan as CudaPlan, from, to),
    read: (plan, buffer) => this.#read(plan as CudaPlan, buffer),
  }
  #disposed = false

  /** @throws SaqrError DEVICE_CUDA_MISSING (no driver or card), DEVICE_CUDA_DRIVER (too old), DEVICE_CUDA_LIBRARY (no NVRTC or cuBLASLt) */
  constructor(options: CudaOptions = {}) {
    this.card = new Card(options.ordinal)
    try {
      this.#compiler = new Compiler({ newest: Math.floor(this.card.driverVersion / 1000), arch: this.card.arch })
      this.matmuls = new Matmuls(this.card)
      this.#kernels = new Kernels(this.card, this.#compiler)
      this.#launcher = new Launcher(this.card, this.#kernels, this.matmuls)
      this.#store = new CudaStore(this.card)
    } catch (error) {
      this.card.dispose() // nothing is left open on it
      throw error
    }
  }

  describe(): DeviceDescription {
    return describeCard(this.card, this.#compiler.version, this.#hostBytes + this.#store.hostBytes())
  }

  limits({ anew = false }: { anew?: boolean } = {}): Limits {
    const { name, multiprocessors, driverVersion } = this.card
    return limitsOf(`cuda and host, ${name}, ${multiprocessors}, ${driverVersion}`, () => measure(this.card, this.matmuls), anew)
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
    if (this.#disposed) return
    const free = this.#store.drop(name)
    for (const plan of this.#plans) plan.without(name)
    this.#turns.whenFree(free)
  }

  writeStore(name: string, bytes: Uint8Array, byteOffset = 0): void {
    this.#alive()
    this.#store.write(name, bytes, byteOffset)
  }

  readStore(name: string, byteOffset = 0, bytes?: number): Uint8Array {
    this.#alive()
    return this.#store.read(name, byteOffset, bytes)
  }

  reserve(arena: number, host = 0): void {
    this.#alive()
    if (this.#turns.free) {
      this.#wanted = Math.max(arena, ...[...this.#plans].map(({ plan }) => plan.arena))
      if (this.#wanted < this.#arenaBytes) this.#freeArena()
    }
    this.#want(arena, host)
  }

  #freeArena(): void {
    this.card.synchronize()
    this.card.free(this.#places.arena)
    this.#places.arena = 0n
    this.#places.generation++
    this.#arenaBytes = 0
  }

  #want(arena: number, host: number): void {
    this.#wanted = Math.max(this.#wanted, arena)
    this.#hostWanted = Math.max(this.#hostWanted, host)
    if (this.#turns.free) this.#grow()
  }

  /** Room for a plan that is about to run: a growth that was refused left none. */
  #fit({ plan }: CudaPlan): void {
    this.#settle()
    this.#wanted = Math.max(this.#wanted, plan.arena)
    this.#hostWanted = Math.max(this.#hostWanted, plan.host)
    this.#grow()
  }

  #grow(): void {
    if (this.#hostWanted > this.#hostBytes) this.#growHost(this.#hostWanted)
    if (this.#wanted <= this.#arenaBytes) return
    const bytes = this.#wanted
    this.#freeArena()
    try {
      this.#places.arena = this.card.alloc(bytes, 'the arena')
    } catch (error) {
      this.#wanted = 0
      throw error
    }
    this.#arenaBytes = bytes
  }

  #growHost(bytes: number): void {
    this.card.synchronize()
    this.card.freeHost(this.#places.host)
    this.#places.host = 0n
    this.#places.generation++
    this.#hostBytes = 0
    try {
      this.#places.host = this.card.allocHost(bytes, 'what is offloaded')
    } catch (error) {
      this.#hostWanted = 0
      throw error
    }
    this.#hostBytes = bytes
  }

  move(name: string, to: 'host' | 'device'): void {
    this.#alive()
    this.#moves.set(name, to)
    if (this.#turns.free) this.#settle()
  }

  /** What has to lie elsewhere goes there: at once, or before the next run, whose errors are then told to who asked. */
  #settle(): void {
    for (const [name, to] of this.#moves) {
      this.#moves.delete(name)
      if (!this.#store.has(name)) continue
      this.card.synchronize()
      if (this.#store.move(name, to)) this.#places.generation++
    }
  }

  keepDense(owner: object, names: readonly string[]): Promise<void> {
    return this.turn(async () => {
      const { launches, commit, undo } = this.#store.keepDense(owner, names)
      try {
        if (launches.length > 0) {
          await this.#kernels.ready(new Set(launches.map(({ source }) => source)))
          this.#alive()
          this.enqueue(launches)
          await this.#fly((flight) => this.#done(flight))
        }
      } catch (error) {
        undo()
        throw error
      }
      commit()
      this.#places.generation++
    })
  }

  dropDense(owner: object): void {
    this.#turns.whenFree(() => {
      if (this.#store.dropDense(owner)) this.#places.generation++
    })
  }

  load(plan: Plan, options: { profile?: boolean } = {}): LoadedPlan {
    this.#alive()
    const loaded: CudaPlan = new CudaPlan(plan, options.profile ?? false, this.card, this.#store, this.#launcher, this.#places, (free) => {
      this.#plans.delete(loaded)
      this.#turns.whenFree(free)
    })
    try {
      if (plan.steps.some(({ beside }) => beside?.on === 'kernels')) this.matmuls.readyBeside()
      this.#want(plan.arena, plan.host)
    } catch (error) {
      loaded.dispose()
      throw error
    }
    this.#plans.add(loaded)
    this.#kernels.ready(loaded.sources).catch(() => {
      // `run` waits for the same promises and reports
    })
    return loaded
  }

  async prepare(loaded: LoadedPlan): Promise<void> {
    const plan = loaded as CudaPlan
    await this.#kernels.ready(plan.sources)
    const { arena, host } = plan.plan
    // one that grows the arena has no addresses yet
    if (!this.#disposed && this.#plans.has(plan) && arena <= this.#arenaBytes && host <= this.#hostBytes) plan.captureAll()
  }

  async turn<T>(work: (turn: Turn) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#alive()
    return this.#turns.take(() => {
      this.#alive()
      return work(this.#turn)
    }, signal)
  }

  /** The next turn begins as soon as this run is queued: the stream keeps their order, and what is read has left before another run writes. */
  async run(items: readonly RunItem[], inputs: PassInputs, options: RunOptions = {}): Promise<Uint8Array[]> {
    this.#alive()
    return this.#turns.take((handOn) => {
      this.#alive()
      return this.#run(items, inputs, options, handOn)
    }, options.signal)
  }

  async #run(items: readonly RunItem[], inputs: PassInputs, options: RunOptions, onQueued = () => {}): Promise<Uint8Array[]> {
    const { signal, read = [] } = options
    signal?.throwIfAborted()
    const plan = items[0]?.plan as CudaPlan | undefined
    if (!plan) return []
    if (items.some((item) => item.plan !== plan)) throw new Error('one run is of one plan: plans share the arena')
    await this.#kernels.ready(plan.sources)
    this.#alive()
    this.#fit(plan)
    return await this.#fly(async (flight) => {
      const results = read.map((name) => piece(plan, name))
      flight.load(inputsOf(plan, inputs), results)
      for (const { segment } of items) {
        this.#alive()
        signal?.throwIfAborted()
        plan.enqueue(segment)
        if (!plan.seconds) continue
        flight.leave()
        await flight.landed()
        plan.addSeconds(segment)
      }
      return await flight.bring(results, onQueued).catch((cause: unknown) => {
        const segments = items.map(({ segment }) => segment)
        throw plan.explainGraphs(segments, cause)
      })
    })
  }

  async #fly<T>(work: (flight: Flight) => Promise<T>): Promise<T> {
    const flight = this.#flights.pop() ?? new Flight(this.card)
    try {
      return await work(flight)
    } catch (error) {
      // what was queued before an abort still runs: nobody else's turn begins while the card works
      await this.#done(flight).catch(() => {})
      throw error
    } finally {
      this.#flights.push(flight)
    }
  }

  async #done(flight: Flight): Promise<void> {
    flight.leave()
    await flight.landed()
  }

  async #runSteps(plan: CudaPlan, from: number, to: number): Promise<void> {
    await this.#kernels.ready(plan.sources)
    this.#alive()
    this.#fit(plan)
    plan.runSteps(from, to)
  }

  #read(plan: CudaPlan, buffer: string): Uint8Array {
    const { at, bytes } = piece(plan, buffer)
    return this.card.download(at, bytes)
  }

  available(): number {
    const { arena, store } = this.resident()
    return this.card.memory().free + arena + store
  }

  free(): number {
    return this.card.memory().free
  }

  resident() {
    return { arena: this.#arenaBytes, store: this.#store.bytes(), mapped: 0 }
  }

  #alive(): void {
    if (this.#disposed) throw disposed()
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#turns.refuse(disposed())
    for (const plan of [...this.#plans]) plan.dispose()
    this.#turns.whenFree(() => {
      this.card.driver.release('streamSynchronize', this.card.stream)
      this.#store.dispose()
      this.card.free(this.#places.arena)
      this.card.freeHost(this.#places.host)
      for (const flight of this.#flights) flight.dispose()
      this.#launcher.dispose()
      this.matmuls.dispose()
      this.#kernels.dispose()
      this.card.dispose()
    })
  }
}

/** where a buffer of the plan lies */
function piece(plan: CudaPlan, name: string): Piece {
  const i = bufferOf(plan, name)
  return { at: plan.address(i), bytes: plan.plan.buffers[i]!.bytes }
}

function inputsOf(plan: CudaPlan, inputs: PassInputs): { view: ArrayBufferView; to: bigint }[] {
  return plan.plan.buffers.flatMap((b, i) => {
    const view = b.space === 'store' ? undefined : inputs[b.name]
    if (!view) return []
    if (view.byteLength > b.bytes) throw new Error(`input '${b.name}' has ${b.bytes} bytes, not ${view.byteLength}`)
    return [{ view, to: plan.address(i) }]
  })
}
