/**
 * The reference device: every op by its definition, in f64, on plain arrays. What other devices are held against; a model of a few
 * thousand weights is as large as it should get.
 */

import type { Plan, PlanTensor } from '../../graph/plan.ts'
import { references } from '../../ops/generated/references.ts'
import type { Matrix } from '../../ops/op.ts'
import { BYTES } from '../../ops/tensor.ts'
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
import { ownMemory } from '../own-memory.ts'
import { Turns } from '../turns.ts'
import { decode, encode } from './numbers.ts'
import { readSource } from './sources.ts'

/** the longest a run keeps the event loop waiting */
const LOOK_MS = 20

interface Stored {
  spec: StoreSpec
  data: Float64Array
}

class ReferencePlan implements LoadedPlan {
  readonly plan: Plan
  /** one array a buffer; store buffers are the store's own */
  data: Float64Array[] | undefined
  readonly #store: ReadonlyMap<string, Stored>

  constructor(plan: Plan, store: ReadonlyMap<string, Stored>) {
    this.plan = plan
    this.#store = store
    this.data = plan.buffers.map((b) => (b.space === 'store' ? this.#stored(b.name).data : new Float64Array(b.rows * b.cols)))
  }

  #stored(name: string): Stored {
    const stored = this.#store.get(name)
    if (!stored) throw disposed(`'${name}', which this plan reads,`)
    return stored
  }

  /** its arrays, where it and all it reads are still there */
  alive(): Float64Array[] {
    if (!this.data) throw disposed('this plan')
    this.plan.buffers.forEach((b, i) => {
      if (b.space === 'store' && this.#stored(b.name).data !== this.data![i]) throw disposed(`'${b.name}', which this plan reads,`)
    })
    return this.data
  }

  dispose(): void {
    this.data = undefined
  }
}

export class ReferenceDevice implements Device {
  readonly #store = new Map<string, Stored>()
  readonly #turns = new Turns()
  readonly #turn: Turn = {
    run: (items, inputs, signal) => this.#run(items, inputs, signal),
    runSteps: (plan, from, to) => this.#steps(plan as ReferencePlan, from, to),
    read: (plan, buffer) => this.#read(plan as ReferencePlan, buffer),
  }
  #disposed = false

  describe(): DeviceDescription {
    return {
      kind: 'reference',
      label: 'reference (f64, TypeScript)',
      threads: 1,
      tokenQuantum: 1,
      passTokens: 256,
      reach: { compute: 1, pairs: 1, copy: 1, launch: 0 },
      overhead: [{ kind: 'Node, its libraries, rows', bytes: 150e6 }],
      has: (op) => Object.hasOwn(references, op),
    }
  }

  /** of scalar JavaScript, roughly: nobody is held against them */
  limits(): Limits {
    return { f32: 1e8, bf16: 1e8, copy: 1e9 }
  }

  store(name: string, spec: StoreSpec): void {
    this.#alive()
    if (this.#store.has(name)) throw new Error(`'${name}' is in the store already`)
    this.#store.set(name, { spec, data: readSource(spec) })
  }

  has(name: string): boolean {
    return this.#store.has(name)
  }

  drop(name: string): void {
    this.#store.delete(name)
  }

  #stored(name: string): Stored {
    const stored = this.#store.get(name)
    if (!stored) throw new Error(`'${name}' is not in the store`)
    return stored
  }

  writeStore(name: string, bytes: Uint8Array, byteOffset = 0): void {
    const { spec, data } = this.#stored(name)
    data.set(decode(bytes, spec.dtype), byteOffset / BYTES[spec.dtype])
  }

  readStore(name: string, byteOffset = 0, bytes?: number): Uint8Array {
    const { spec, data } = this.#stored(name)
    const from = byteOffset / BYTES[spec.dtype]
    return encode(bytes === undefined ? data.subarray(from) : data.subarray(from, from + bytes / BYTES[spec.dtype]), spec.dtype)
  }

  /** the f64 values themselves */
  values(name: string): Float64Array {
    return this.#stored(name).data
  }

  reserve(): void {}

  load(plan: Plan): LoadedPlan {
    this.#alive()
    return new ReferencePlan(plan, this.#store)
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
    for (const plan of new Set(items.map((item) => item.plan))) this.#upload(plan as ReferencePlan, inputs)
    for (const { plan, segment } of items) {
      const { from, to } = segmentOf(plan, segment)
      await this.#steps(plan as ReferencePlan, from, to, signal)
    }
  }

  /** The event loop has its turn now and then: an abort, or the end of the device, is seen between steps. */
  async #steps(plan: ReferencePlan, from: number, to: number, signal?: AbortSignal): Promise<void> {
    let since = performance.now()
    for (let i = from; i < to; i++) {
      if (performance.now() - since > LOOK_MS) {
        await new Promise((resolve) => setImmediate(resolve))
        since = performance.now()
      }
      this.#alive()
      signal?.throwIfAborted()
      this.#step(plan, i)
    }
  }

  #alive(): void {
    if (this.#disposed) throw disposed()
  }

  #upload(plan: ReferencePlan, inputs: PassInputs): void {
    const data = plan.alive()
    plan.plan.buffers.forEach((b, i) => {
      const view = b.space === 'store' ? undefined : inputs[b.name]
      if (view) data[i]!.set(decode(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), b.dtype))
    })
  }

  #step(plan: ReferencePlan, index: number): void {
    const step = plan.plan.steps[index]!
    const reference = references[step.op]
    if (!reference) throw new Error(`no reference for op '${step.op}'`)
    const data = plan.alive()
    const inputs = step.inputs.map((t) => t && gatherMatrix(data[t.buffer]!, t))
    const outputs = step.outputs.map((t) => gatherMatrix(data[t.buffer]!, t))
    reference.run(inputs, outputs, step.attrs)
    step.outputs.forEach((t, i) => {
      scatterMatrix(data[t.buffer]!, t, outputs[i]!)
    })
  }

  #read(plan: ReferencePlan, buffer: string): Uint8Array {
    const i = bufferOf(plan, buffer)
    return encode(plan.alive()[i]!, plan.plan.buffers[i]!.dtype)
  }

  available(): number {
    return process.availableMemory() + ownMemory().rss
  }

  free(): number {
    return process.availableMemory()
  }

  resident() {
    return { arena: 0, store: [...this.#store.values()].reduce((sum, s) => sum + s.data.byteLength, 0), mapped: 0 }
  }

  dispose(): void {
    this.#disposed = true
    this.#turns.refuse(disposed())
    this.#turns.whenFree(() => this.#store.clear())
  }
}

function gatherMatrix(data: Float64Array, t: PlanTensor): Matrix {
  const out = new Float64Array(t.rows * t.cols)
  for (let i = 0; i < t.rows; i++) out.set(data.subarray(t.offset + i * t.stride, t.offset + i * t.stride + t.cols), i * t.cols)
  return { rows: t.rows, cols: t.cols, data: out }
}

function scatterMatrix(data: Float64Array, t: PlanTensor, m: Matrix): void {
  for (let i = 0; i < t.rows; i++) data.set(m.data.subarray(i * t.cols, (i + 1) * t.cols), t.offset + i * t.stride)
}
