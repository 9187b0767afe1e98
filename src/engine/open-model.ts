/** A checkpoint open on a device: its family, its frozen weights in the store, shared by every adapter over it. */

import type { Adapter } from '../adapters/adapter.ts'
import { type AdapterSpec, chooseAdapter } from '../adapters/choose.ts'
import type { Device } from '../devices/device.ts'
import { SaqrError } from '../error.ts'
import type { Checkpoint } from '../formats/tensor.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { inspect } from '../graph/training.ts'
import type { Model } from '../models/family.ts'
import { openConfig } from '../models/registry.ts'
import { loadWeights } from './weights.ts'

export interface BaseChoice {
  /** dtype of activations and of frozen weights that are not quantised */
  dtype: 'f32' | 'bf16'
  /** NF4 for the linears of the blocks */
  loadIn4bit: boolean
  /** quantise NF4's absmax values too */
  doubleQuant: boolean
}

/** Weights lie in a device's store by their names in the checkpoint, so a device holds one model. */
const held = new WeakMap<Device, string>()

export class OpenModel {
  readonly device: Device
  readonly checkpoint: Checkpoint
  readonly model: Model
  readonly choice: BaseChoice
  #adapters = 0

  /** @throws SaqrError DEVICE_TAKEN where the device holds another model */
  constructor(device: Device, checkpoint: Checkpoint, choice: BaseChoice) {
    const other = held.get(device)
    if (other !== undefined) {
      throw new SaqrError(
        'DEVICE_TAKEN',
        `this device holds the weights of ${other}: open ${checkpoint.path} on a device of its own (new CpuDevice(), or leave device out)`,
      )
    }
    this.device = device
    this.checkpoint = checkpoint
    this.model = openConfig(checkpoint.config)
    this.choice = choice
    held.set(device, checkpoint.path)
  }

  /** prefix of the next adapter's tensors in the store */
  nextScope(): string {
    return `adapter${this.#adapters++}.`
  }

  adapter(spec: AdapterSpec, training: boolean): Adapter {
    return chooseAdapter(spec, { nf4: this.choice.loadIn4bit, head: this.model.head.path }, training)
  }

  /** the tensors that the model with this adapter holds */
  inspect(spec: AdapterSpec): TraceRecorder {
    return inspect(this.model, this.adapter(spec, false), this.choice.dtype)
  }

  /** brings the frozen weights this adapter reads into the store, those that are not there yet */
  loadFor(recorder: TraceRecorder): void {
    const missing = [...recorder.weights.values()].filter(({ name }) => !this.device.has(name))
    loadWeights(this.device, this.checkpoint, missing, this.choice)
  }
}
