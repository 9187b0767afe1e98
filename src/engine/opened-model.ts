/** A checkpoint open on a device: its family, its frozen weights in the store, shared by every adapter over it. */

import type { Adapter } from '../adapters/adapter.ts'
import { type AdapterSpec, chooseAdapter } from '../adapters/choose.ts'
import type { Device } from '../devices/device.ts'
import { SaqrError } from '../error.ts'
import { takeFiles, touchedFiles } from '../formats/stored.ts'
import type { Checkpoint } from '../formats/tensor.ts'
import { sparselyUsed } from '../graph/dense.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { inspect } from '../graph/training.ts'
import type { Model } from '../models/family.ts'
import type { DType } from '../ops/tensor.ts'
import { type Held, isAsHeld, scalesOf } from './as-held.ts'
import { forgetDigest } from './digest.ts'
import type { LanguageModel } from './language-model.ts'
import { settle } from './settle.ts'
import { isNested, loadWeight, storeConstants } from './weights.ts'

export interface BaseChoice {
  /** dtype of activations and of frozen weights that are not quantised */
  dtype: 'f32' | 'bf16'
  /** NF4 for the linears of the blocks */
  loadIn4bit: boolean
  /** quantise NF4's absmax values too */
  doubleQuant: boolean
  /** weights that files hold in blocks stay so where the device reads them: the same numbers, for a model that is only asked */
  inBlocks?: boolean
}

/** Weights lie in a device's store by their names in the checkpoint, so a device holds one model at a time. */
const held = new WeakMap<Device, OpenedModel>()
/** adapters a device has had: none of their names comes twice */
const adapters = new WeakMap<Device, number>()

export class OpenedModel {
  readonly device: Device
  readonly choice: BaseChoice
  /** worth telling of the checkpoint */
  readonly notes: readonly string[]
  /** models over it that were not disposed of */
  readonly users = new Set<LanguageModel>()
  /** those of them that a run trains now */
  readonly training = new Set<LanguageModel>()
  #checkpoint: Checkpoint
  #model: Model
  /** tensors that are of another size than in the files: an adapter over them keeps them along */
  #resized: readonly string[] = []
  /** weights and constants (null) it brought into the store */
  readonly #loaded = new Map<string, Held | null>()
  #disposed = false

  constructor(device: Device, checkpoint: Checkpoint, choice: BaseChoice) {
    const settled = settle(checkpoint)
    this.device = device
    this.#checkpoint = settled.checkpoint
    this.#model = settled.model
    this.notes = settled.notes
    this.choice = choice
  }

  get checkpoint(): Checkpoint {
    return this.#checkpoint
  }

  get model(): Model {
    return this.#model
  }

  get resized(): readonly string[] {
    return this.#resized
  }

  /**
   * Another checkpoint with the same tensors but `names`, which have other values: those go from the store. Nothing may use them meanwhile.
   * @param make what stands over it then: where that fails all is as it was
   * @param given what reads the tensors as they were
   */
  replace<T>(checkpoint: Checkpoint, names: readonly string[], given: TraceRecorder, make: () => T): T {
    this.alive()
    const settled = settle(checkpoint)
    const before = { checkpoint: this.#checkpoint, model: this.#model, resized: this.#resized }
    const held = this.holds(given)
    for (const name of names) this.#drop(name)
    this.#become({ ...settled, resized: [...new Set([...this.#resized, ...names])] })
    try {
      return make()
    } catch (error) {
      for (const name of names) this.#drop(name)
      this.#become(before)
      if (held) this.loadFor(given)
      throw error
    }
  }

  #become({ checkpoint, model, resized }: { checkpoint: Checkpoint; model: Model; resized: readonly string[] }): void {
    this.#checkpoint = checkpoint
    this.#model = model
    this.#resized = resized
  }

  /** are NF4's scales of this weight quantised themselves? */
  readonly nested = (name: string): boolean => isNested(this.checkpoint, name, this.choice.doubleQuant)

  /** prefix of the next adapter's tensors in the store */
  nextScope(): string {
    const count = adapters.get(this.device) ?? 0
    adapters.set(this.device, count + 1)
    return `adapter${count}.`
  }

  adapter(spec: AdapterSpec, training: boolean): Adapter {
    const { path, tiedTo } = this.model.head
    return chooseAdapter(
      spec,
      { nf4: this.choice.loadIn4bit, head: path, tiedTo, inBlocks: this.#inBlocks, across: this.#across },
      training,
    )
  }

  readonly #across = (name: string): boolean => this.checkpoint.tensors.get(name)?.across !== undefined

  readonly #inBlocks = (name: string): DType | undefined => {
    const tensor = this.choice.inBlocks ? this.checkpoint.tensors.get(name) : undefined
    return tensor?.blocks && this.device.describe().blocks?.find((type) => type === tensor.storage.toLowerCase())
  }

  /** the tensors that the model with this adapter holds */
  inspect(spec: AdapterSpec): TraceRecorder {
    return inspect(this.model, this.adapter(spec, false), this.choice.dtype)
  }

  /** are the frozen weights that it reads in the store? */
  holds(recorder: TraceRecorder): boolean {
    return [...recorder.weights.keys()].every((name) => this.#loaded.has(name))
  }

  /** What takes memory is not begun beside a run, which was planned without it. @throws SaqrError MODEL_TRAINING */
  untrained(what: string): void {
    if (this.training.size === 0) return
    throw new SaqrError(
      'MODEL_TRAINING',
      `a run trains over this base, in memory that was planned without ${what}: do it before the run, or once that has ended`,
    )
  }

  /**
   * Brings the frozen weights and constant tables that the model with this adapter reads into the store, those that are not there yet.
   * @throws SaqrError DEVICE_TAKEN where the device holds another model's, MODEL_WEIGHT; then nothing of it stays there
   */
  loadFor(recorder: TraceRecorder): void {
    this.alive()
    const other = held.get(this.device) ?? this
    if (other !== this) {
      throw new SaqrError(
        'DEVICE_TAKEN',
        `this device holds the weights of ${other.checkpoint.path}: dispose of that model first, or open ${this.checkpoint.path} on a device of its own`,
      )
    }
    held.set(this.device, this)
    const sparse = sparselyUsed(recorder.nodes)
    const missing = [...recorder.weights.values()].filter(({ name }) => !this.#loaded.has(name))
    try {
      for (const each of missing) {
        const spec = { ...each, sparse: sparse.has(each.name) }
        const { quant } = loadWeight(this.device, this.checkpoint, spec, this.choice)
        this.#loaded.set(spec.name, { spec, scales: null })
        if (quant) this.#loaded.set(spec.name, { spec, scales: scalesOf(quant, spec.rows * spec.cols) })
      }
      for (const name of storeConstants(this.device, recorder.constants)) this.#loaded.set(name, null)
    } catch (error) {
      for (const { name } of missing) this.#drop(name)
      if (this.#loaded.size === 0) held.delete(this.device)
      throw error
    }
  }

  /**
   * Files that were written to or replaced since they were opened, and still give what the device holds, count as opened now: where it holds all of them,
   * frozen. A weight that is trained, or that nobody reads, can't be held beside its file any more. Asked before a run's first step: what a device has
   * mapped changes with its file, so a file that was written to in place is what the run computes with, but later nobody knows what steps before were
   * computed with. @throws the signal's reason
   */
  async lookAgain(signal?: AbortSignal): Promise<void> {
    const { tensors } = this.checkpoint
    const weights = [...this.#loaded.values()].filter((held) => held !== null)
    const frozen = new Set(weights.map(({ spec }) => spec.name))
    if (![...tensors.keys()].every((name) => frozen.has(name))) return
    try {
      const files = touchedFiles(tensors.values())
      if (!files || !(await isAsHeld(this.device, this.checkpoint, weights, this.choice, signal))) return
      takeFiles(tensors.values(), files)
      forgetDigest(this.checkpoint)
    } catch (error) {
      if (!(error instanceof SaqrError) || !/^(FORMAT|MODEL)_/.test(error.code)) throw error // who reads the files tells
    }
  }

  #drop(name: string): void {
    this.#loaded.delete(name)
    if (this.device.has(name)) this.device.drop(name)
  }

  /** @throws SaqrError MODEL_DISPOSED */
  alive(): void {
    if (this.#disposed) throw new SaqrError('MODEL_DISPOSED', 'the base of this model was disposed of: open it again')
  }

  /** frees the weights: the device can hold another model */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    for (const name of [...this.#loaded.keys()]) this.#drop(name)
    if (held.get(this.device) === this) held.delete(this.device)
  }
}
