/** A checkpoint's weights into a device's store: mapped where the file holds them as the plan wants them, else converted once. */

import type { Device, StoreSpec } from '../devices/device.ts'
import { SaqrError } from '../error.ts'
import { nestAbsmax, nf4Blocksize, nf4Codebook, nf4NestedBlocksize, quantiseNf4 } from '../formats/nf4.ts'
import type { Checkpoint, CheckpointTensor } from '../formats/tensor.ts'
import type { WeightSpec } from '../graph/trace.ts'

export interface WeightOptions {
  /** what weights are before they are quantised: Hugging Face casts first */
  dtype: 'f32' | 'bf16'
  /** quantise absmax too, in blocks of 256 (QLoRA's double quantisation) */
  doubleQuant: boolean
}

/** Puts what `wanted` names into the store. Throws MODEL_WEIGHT when the checkpoint lacks one or has another shape. */
export function loadWeights(device: Device, checkpoint: Checkpoint, wanted: Iterable<WeightSpec>, options: WeightOptions): void {
  for (const spec of wanted) device.store(spec.name, sourceOf(find(checkpoint, spec), spec, options))
}

/** the checkpoint's tensor of this name and shape */
export function find(checkpoint: Checkpoint, { name, rows, cols }: Pick<WeightSpec, 'name' | 'rows' | 'cols'>): CheckpointTensor {
  const t = checkpoint.tensors.get(name)
  if (!t) throw new SaqrError('MODEL_WEIGHT', `${checkpoint.path} has no tensor '${name}', which its config.json calls for`)
  if (t.rows !== rows || t.cols !== cols) {
    throw new SaqrError(
      'MODEL_WEIGHT',
      `${checkpoint.path}: '${name}' is ${t.shape.join(' × ')}, but config.json calls for ${rows} × ${cols}`,
    )
  }
  return t
}

function sourceOf(t: CheckpointTensor, spec: WeightSpec, options: WeightOptions): StoreSpec {
  const { rows, cols, dtype } = spec
  if (dtype === 'nf4') {
    if (t.quant && t.source) return { rows, cols, dtype, source: t.source, quant: t.quant }
    return { rows, cols, ...quantised(t, options) }
  }
  if (t.source && t.dtype === dtype) return { rows, cols, dtype, source: t.source }
  if (dtype !== 'f32' && dtype !== 'bf16') throw new Error(`${spec.name}: no weight is stored as ${dtype}`)
  return { rows, cols, dtype, source: { kind: 'data', bytes: t.load(dtype) } }
}

function quantised(t: CheckpointTensor, { dtype, doubleQuant }: WeightOptions): Pick<StoreSpec, 'dtype' | 'source' | 'quant'> {
  const values = asFloats(t.load(dtype), dtype)
  const { packed, absmax } = quantiseNf4(values)
  const data = (bytes: Uint8Array | Float32Array) => ({
    kind: 'data' as const,
    bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  })
  const quant = { blocksize: nf4Blocksize, codebook: nf4Codebook }
  if (!doubleQuant) return { dtype: 'nf4', source: data(packed), quant: { ...quant, absmax: data(absmax) } }
  const nested = nestAbsmax(absmax)
  return {
    dtype: 'nf4',
    source: data(packed),
    quant: {
      ...quant,
      absmax: data(nested.codes),
      nested: { blocksize: nf4NestedBlocksize, code: nested.code, absmax: data(nested.absmax), offset: nested.offset },
    },
  }
}

function asFloats(bytes: Uint8Array, dtype: 'f32' | 'bf16'): Float32Array {
  if (dtype === 'f32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
  const bits = Uint32Array.from(halves, (h) => h << 16)
  return new Float32Array(bits.buffer)
}
