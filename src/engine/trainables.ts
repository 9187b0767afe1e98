/** The trained tensors on a device: one flat f32 range, its gradient, and names to get at the parts. */
import type { ParameterInit, Trained } from '../adapters/adapter.ts'
import { fileShape, fromFile, liesOtherwise, toFile } from '../adapters/expert-layout.ts'
import type { Device } from '../devices/device.ts'
import { SaqrError } from '../error.ts'
import { asF32, bytesOf } from '../formats/numbers.ts'
import type { Checkpoint } from '../formats/tensor.ts'
import type { ParameterLayout } from '../graph/layout.ts'
import { SeededRandom } from './random.ts'
import { restoreChunks, type SavedBytes, storeChunks } from './store-chunks.ts'
import { storing } from './storing.ts'
import { find } from './weights.ts'
import { weightsChange } from './weights-version.ts'

/** bytes written at once */
const ZEROS = 16 * 2 ** 20

export class Trainables {
  readonly layout: ParameterLayout
  readonly #device: Device

  /** @param seed of what begins at random: each tensor draws by its own name, so that adding one changes no other */
  constructor(device: Device, layout: ParameterLayout, checkpoint: Checkpoint, seed: number) {
    this.#device = device
    this.layout = layout
    const { size, scope } = layout
    storing(device, (store) => {
      for (const name of ['parameters', 'gradients']) store(scope + name, { rows: 1, cols: size, dtype: 'f32', source: { kind: 'zero' } })
      for (const [name, { spec }] of layout.entries) {
        const values = first(spec.init, spec.rows, spec.cols, checkpoint, () => new SeededRandom(seed, name))
        if (values) this.set(name, values)
      }
    })
  }

  get names(): string[] {
    return [...this.layout.entries.keys()]
  }

  /** rows × cols of a trained tensor */
  shape(name: string): { rows: number; cols: number } {
    return this.#entry(name).spec
  }

  get(name: string, which: 'parameters' | 'gradients' = 'parameters'): Float32Array {
    const { offset, spec } = this.#entry(name)
    const bytes = this.#device.readStore(this.layout.scope + which, offset * 4, spec.rows * spec.cols * 4)
    return new Float32Array(bytes.buffer, bytes.byteOffset, spec.rows * spec.cols)
  }

  /** its values as the file of an adapter keeps them */
  *fileChunks(name: string): Generator<Uint8Array> {
    if (!liesOtherwise(this.#entry(name).spec)) yield* this.chunks(name)
    else yield bytesOf(this.inFile(name))
  }

  /** values, or their gradient, in the order of that file */
  inFile(name: string, which: 'parameters' | 'gradients' = 'parameters'): Float32Array {
    return toFile(this.#entry(name).spec, this.get(name, which))
  }

  /** the shape they have there: norm weights and biases are vectors */
  fileShape(name: string): readonly number[] {
    return fileShape(this.#entry(name).spec)
  }

  /** @throws SaqrError MODEL_WEIGHT for values of another number */
  setFromFile(name: string, values: Float32Array): void {
    this.set(name, fromFile(this.#entry(name).spec, values))
  }

  /** f32 bytes of a trained tensor, a part at a time */
  chunks(name: string): Generator<Uint8Array> {
    const { offset, spec } = this.#entry(name)
    return storeChunks(this.#device, `${this.layout.scope}parameters`, offset * 4, spec.rows * spec.cols * 4)
  }

  /** rows `from` … `from + count` − 1 of a trained tensor */
  rows(name: string, from: number, count: number): Float32Array {
    const { offset, spec } = this.#entry(name)
    const { cols } = spec
    return asF32(this.#device.readStore(`${this.layout.scope}parameters`, (offset + from * cols) * 4, count * cols * 4))
  }

  /** @throws SaqrError MODEL_WEIGHT for bytes of another size */
  restore(name: string, saved: SavedBytes): void {
    const { offset, spec } = this.#entry(name)
    if (saved.byteLength !== spec.rows * spec.cols * 4) throw wrongSize(name, spec, saved.byteLength / 4)
    weightsChange(this.layout)
    restoreChunks(this.#device, `${this.layout.scope}parameters`, offset * 4, saved)
  }

  /** what an adapter's file has of it. @throws SaqrError MODEL_WEIGHT for bytes of another size */
  restoreFromFile(name: string, saved: SavedBytes): void {
    if (!liesOtherwise(this.#entry(name).spec)) this.restore(name, saved)
    else this.setFromFile(name, asF32(saved.subarray(0, saved.byteLength)))
  }

  /** the trained tensor of this name, null where none is */
  trained(name: string): Trained | null {
    return this.layout.entries.has(name) ? { spec: this.#entry(name).spec, values: this.get(name) } : null
  }

  set(name: string, values: Float32Array): void {
    const { offset, spec } = this.#entry(name)
    if (values.length !== spec.rows * spec.cols) throw wrongSize(name, spec, values.length)
    weightsChange(this.layout)
    this.#device.writeStore(
      `${this.layout.scope}parameters`,
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      offset * 4,
    )
  }

  /** as a step finds them */
  zeroGradients(): void {
    const zeros = new Uint8Array(Math.min(ZEROS, this.layout.size * 4))
    for (let at = 0; at < this.layout.size * 4; at += ZEROS) {
      this.#device.writeStore(`${this.layout.scope}gradients`, zeros.subarray(0, Math.min(ZEROS, this.layout.size * 4 - at)), at)
    }
  }

  #entry(name: string) {
    const entry = this.layout.entries.get(name)
    if (!entry) throw new SaqrError('MODEL_WEIGHT', `no trained tensor is named '${name}'`)
    return entry
  }

  dispose(): void {
    for (const name of ['parameters', 'gradients']) this.#device.drop(this.layout.scope + name)
  }
}

function wrongSize(name: string, { rows, cols }: { rows: number; cols: number }, values: number): SaqrError {
  return new SaqrError('MODEL_WEIGHT', `'${name}' has ${rows} × ${cols} values, not ${values}`)
}

function first(init: ParameterInit, rows: number, cols: number, checkpoint: Checkpoint, random: () => SeededRandom): Float32Array | null {
  switch (init.kind) {
    case 'zeros':
      return null
    case 'checkpoint': {
      const bytes = find(checkpoint, { name: init.name, rows, cols }).load('f32')
      return new Float32Array(bytes.buffer, bytes.byteOffset, rows * cols)
    }
    case 'rows': {
      const tensor = checkpoint.tensors.get(init.name)!
      const values = new Float32Array(rows * cols)
      for (const [i, row] of init.rows.entries()) values.set(asF32(tensor.load('f32', row, 1)), i * cols)
      return values
    }
    case 'uniform':
      return random().fillUniform(new Float32Array(rows * cols), init.bound)
    case 'normal': {
      const r = random()
      const values = new Float32Array(rows * cols)
      for (let i = 0; i < values.length; i++) values[i] = r.normal() * init.std
      return values
    }
  }
}
