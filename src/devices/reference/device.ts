/**
 * The reference device: every op by its definition, in f64, on plain arrays. What other devices are held against; a model of a few
 * thousand weights is as large as it should get.
 */

import type { Plan, PlanTensor } from '../../graph/plan.ts'
import { BYTES } from '../../models/trace.ts'
import type { Matrix } from '../../ops/op.ts'
import { references } from '../../ops/references.ts'
import type { Device, DeviceDescription, Limits, LoadedPlan, RunItem, StoreSpec } from '../device.ts'
import { decode, encode } from './numbers.ts'
import { readSource } from './sources.ts'

interface Stored {
  spec: StoreSpec
  data: Float64Array
}

class ReferencePlan implements LoadedPlan {
  readonly plan: Plan
  /** one array a buffer; store buffers are the store's own */
  readonly data: Float64Array[]

  constructor(plan: Plan, store: ReadonlyMap<string, Stored>) {
    this.plan = plan
    this.data = plan.buffers.map((b) => {
      if (b.space !== 'store') return new Float64Array(b.rows * b.cols)
      const stored = store.get(b.name)
      if (!stored) throw new Error(`the plan reads '${b.name}', which is not in the store`)
      return stored.data
    })
  }
  dispose(): void {
    this.data.length = 0
  }
}

export class ReferenceDevice implements Device {
  readonly #store = new Map<string, Stored>()

  describe(): DeviceDescription {
    return {
      kind: 'reference',
      label: 'reference (f64, TypeScript)',
      threads: 1,
      tokenQuantum: 1,
      passTokens: 256,
      reach: { compute: 1, copy: 1 },
      overhead: 150e6,
    }
  }

  /** of scalar JavaScript, roughly: nobody is held against them */
  limits(): Limits {
    return { f32: 1e8, bf16: 1e8, copy: 1e9 }
  }

  store(name: string, spec: StoreSpec): void {
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
    return new ReferencePlan(plan, this.#store)
  }

  async run(
    items: readonly RunItem[],
    inputs: Readonly<Record<string, ArrayBufferView>>,
    options: { signal?: AbortSignal } = {},
  ): Promise<void> {
    for (const plan of new Set(items.map((item) => item.plan))) this.#upload(plan as ReferencePlan, inputs)
    for (const { plan, segment } of items) {
      const { from, to } = plan.plan.segments.find((s) => s.name === segment)!
      for (let i = from; i < to; i++) {
        options.signal?.throwIfAborted()
        this.#step(plan as ReferencePlan, i)
      }
    }
  }

  #upload(plan: ReferencePlan, inputs: Readonly<Record<string, ArrayBufferView>>): void {
    plan.plan.buffers.forEach((b, i) => {
      const view = b.space === 'store' ? undefined : inputs[b.name]
      if (view) plan.data[i]!.set(decode(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), b.dtype))
    })
  }

  async runSteps(plan: LoadedPlan, from: number, to: number): Promise<void> {
    for (let i = from; i < to; i++) this.#step(plan as ReferencePlan, i)
  }

  #step(plan: ReferencePlan, index: number): void {
    const step = plan.plan.steps[index]!
    const reference = references[step.op]
    if (!reference) throw new Error(`no reference for op '${step.op}'`)
    const inputs = step.inputs.map((t) => t && gatherMatrix(plan.data[t.buffer]!, t))
    const outputs = step.outputs.map((t) => gatherMatrix(plan.data[t.buffer]!, t))
    reference(inputs, outputs, step.attrs)
    step.outputs.forEach((t, i) => {
      scatterMatrix(plan.data[t.buffer]!, t, outputs[i]!)
    })
  }

  read(plan: LoadedPlan, buffer: string): Uint8Array {
    const { plan: p, data } = plan as ReferencePlan
    const i = p.buffers.findIndex((b) => b.name === buffer)
    if (i < 0) throw new Error(`the plan has no buffer '${buffer}'`)
    return encode(data[i]!, p.buffers[i]!.dtype)
  }

  available(): number {
    return process.availableMemory() + process.memoryUsage.rss()
  }

  resident() {
    return { arena: 0, store: [...this.#store.values()].reduce((sum, s) => sum + s.data.byteLength, 0), mapped: 0 }
  }

  dispose(): void {
    this.#store.clear()
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
