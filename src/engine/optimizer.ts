/** The optimiser on a device: its state in the store, one small plan a step. */
import type { Device, LoadedPlan } from '../devices/device.ts'
import { SaqrError } from '../error.ts'
import { asF32, bytesOf } from '../formats/numbers.ts'
import type { ParameterLayout } from '../graph/layout.ts'
import { type OptimizerOptions, optimizerPlan, statesOf, tablesOf } from '../graph/optimizer.ts'
import type { WeightSpec } from '../graph/trace.ts'
import { sizeOf } from '../ops/tensor.ts'
import { restoreChunks, type SavedBytes, storeChunks } from './store-chunks.ts'
import { storing } from './storing.ts'
import { weightsChange } from './weights-version.ts'

export class Optimizer {
  readonly #device: Device
  readonly #layout: ParameterLayout
  readonly #scope: string
  readonly #state: WeightSpec[]
  readonly #tables: Readonly<Record<string, () => Float32Array>>
  readonly #plan: LoadedPlan

  constructor(device: Device, layout: ParameterLayout, options: OptimizerOptions) {
    this.#device = device
    this.#layout = layout
    this.#scope = layout.scope
    this.#tables = tablesOf(options.rule)
    const specs = statesOf(layout, options.rule)
    this.#state = [...new Map(specs.map((s) => [s.name, s])).values()]
    this.#plan = storing(device, (store) => {
      for (const { name, rows, cols, dtype } of this.#state) {
        const table = this.#tables[name]
        store(layout.scope + name, { rows, cols, dtype, source: table ? { kind: 'data', bytes: bytesOf(table()) } : { kind: 'zero' } })
      }
      return device.load(optimizerPlan(layout, options, device.describe().scratch))
    })
  }

  /**
   * One update of all trained tensors from their accumulated gradients, which are zero afterwards.
   * @param step from 1
   * @param maxNorm gradients are scaled down to this norm; 0: never
   * @returns ‖gradient‖₂ before clipping
   */
  async step(step: number, learningRate: number, maxNorm: number, signal?: AbortSignal): Promise<number> {
    const items = [{ plan: this.#plan, segment: 'optimizer' }]
    const stepFloats = Float32Array.of(learningRate, maxNorm, step, 0)
    weightsChange(this.#layout)
    const [norm] = await this.#device.run(items, { stepFloats }, { signal, read: ['optimizer.grad_norm'] })
    return asF32(norm!)[0]!
  }

  /** what a resumed run needs; `chunks` reads it from the device, a part at a time */
  state(): { name: string; dtype: 'f32' | 'u8'; bytes: number; chunks: () => Iterable<Uint8Array> }[] {
    return this.#saved().map((spec) => ({
      name: spec.name,
      dtype: spec.dtype as 'f32' | 'u8',
      bytes: sizeOf(spec),
      chunks: () => storeChunks(this.#device, this.#scope + spec.name, 0, sizeOf(spec)),
    }))
  }

  /** @throws SaqrError TRAIN_CHECKPOINT, before anything is written, where the state is of another optimiser */
  restore(state: ReadonlyMap<string, SavedBytes>): void {
    for (const spec of this.#saved()) {
      const bytes = state.get(spec.name)
      if (bytes?.byteLength === sizeOf(spec)) continue
      const found = bytes ? `has ${bytes.byteLength} bytes, not ${sizeOf(spec)}` : 'is missing'
      throw new SaqrError(
        'TRAIN_CHECKPOINT',
        `the checkpoint's optimizer state is another one's: ${spec.name} ${found}. Resume with the optim and the adapter it was saved with.`,
      )
    }
    for (const { name } of this.#saved()) restoreChunks(this.#device, this.#scope + name, 0, state.get(name)!)
  }

  #saved(): WeightSpec[] {
    return this.#state.filter(({ name }) => !(name in this.#tables))
  }

  dispose(): void {
    this.#plan.dispose()
    for (const { name } of this.#state) this.#device.drop(this.#scope + name)
  }
}
