/** A checkpoint's weights into a device's store: mapped where the file holds them as the plan wants them, else converted once. */
import { nativeQuantiser } from '../devices/cpu/quantise.ts'
import type { Device, StoreSpec } from '../devices/device.ts'
import { option, SaqrError, say } from '../error.ts'
import { quantiseTensor } from '../formats/bnb-write.ts'
import { joinNf4, unlikeNf4 } from '../formats/nf4-joined.ts'
import { asF32, bytesOf } from '../formats/numbers.ts'
import type { Checkpoint, CheckpointTensor } from '../formats/tensor.ts'
import type { WeightSpec } from '../graph/trace.ts'
import { BYTES, sizeOf } from '../ops/tensor.ts'

export interface WeightOptions {
  /** what weights are before they are quantised: Hugging Face casts first */
  dtype: 'f32' | 'bf16'
  /** quantise absmax too, in blocks of 256 (QLoRA's double quantisation) */
  doubleQuant: boolean
}

/** weights converted at once: what is in JavaScript stays small whatever the model's size */
const CHUNK = 1 << 21

/** Puts what `spec` names into the store; returns what it was given. @throws SaqrError MODEL_WEIGHT where the checkpoint lacks it or has another shape */
export function loadWeight(device: Device, checkpoint: Checkpoint, spec: WeightSpec, options: WeightOptions): StoreSpec {
  const t = find(checkpoint, spec)
  if (spec.finite) checkFinite(checkpoint.path, t)
  const stored = storedAs(t, spec, options)
  device.store(spec.name, stored)
  if (stored.source.kind !== 'zero') return stored
  for (const { at, bytes, own } of converted(t, spec, (at, size) => device.storeBytes?.(spec.name, at, size)))
    if (bytes !== own) device.writeStore(spec.name, bytes, at)
  return stored
}

/** @throws SaqrError MODEL_WEIGHT */
export function checkFinite(path: string, t: CheckpointTensor): void {
  const at = asF32(t.load('f32')).findIndex((x) => !Number.isFinite(x))
  if (at !== -1)
    throw new SaqrError('MODEL_WEIGHT', `${path}: '${t.name}' has a value that is no finite number (element ${at}): fetch the file again`)
}

/** what its codes are taken from: as the model has it, or the other way round */
const codesOf = (t: CheckpointTensor): CheckpointTensor => t.across ?? t

const isJoinedNf4 = ({ parts }: CheckpointTensor) => parts?.some(({ quant }) => quant) ?? false

/** Are NF4's scales of a weight quantised themselves? As its file has them, else as `doubleQuant` asks for. */
export function isNested({ tensors }: Checkpoint, name: string, doubleQuant: boolean): boolean {
  const t = tensors.get(name)
  if (t && isJoinedNf4(codesOf(t))) return false
  return t?.quant ? t.quant.nested !== undefined : doubleQuant
}

/** Constant tables, those that are not there yet, into the store; returns their names. */
export function storeConstants(device: Device, tables: ReadonlyMap<string, Float32Array>): string[] {
  const missing = [...tables].filter(([name]) => !device.has(name))
  for (const [name, values] of missing)
    device.store(name, { rows: 1, cols: values.length, dtype: 'f32', source: { kind: 'data', bytes: bytesOf(values) } })
  return missing.map(([name]) => name)
}

/** the checkpoint's tensor of this name and shape */
export function find(
  checkpoint: Checkpoint,
  { name, rows, cols, dtype }: Pick<WeightSpec, 'name' | 'rows' | 'cols'> & Partial<WeightSpec>,
): CheckpointTensor {
  const held = checkpoint.tensors.get(name)
  const t = held && dtype === 'nf4' ? codesOf(held) : held
  if (!t) throw new SaqrError('MODEL_WEIGHT', `${checkpoint.path} has no tensor '${name}', which its config.json calls for`)
  if (t.rows !== rows || t.cols !== cols) {
    throw new SaqrError(
      'MODEL_WEIGHT',
      `${checkpoint.path}: '${name}' is ${t.shape.join(' × ')}, but config.json calls for ${rows} × ${cols}`,
    )
  }
  return t
}

/** What a weight is in a store: as the file holds it, or made of that at once; from zero what `converted` gives is written over it. */
export function storedAs(t: CheckpointTensor, { name, rows, cols, dtype, sparse }: WeightSpec, options: WeightOptions): StoreSpec {
  if (dtype === 'nf4' && isJoinedNf4(t)) {
    const why = unlikeNf4(t.parts!)
    if (why !== undefined)
      throw new SaqrError(
        'MODEL_UNSUPPORTED',
        say`${t.parts![0]!.name} and others that are ${name} are each quantised by itself, and can't be one with the codes they have: ${why}. Take the unquantised model, which ${option('loadIn4bit')} quantises`,
      )
    const { packed, quant } = joinNf4(t.parts!)
    return { rows, cols, dtype, source: { kind: 'data', bytes: packed }, quant }
  }
  if (dtype === 'nf4' && !(t.quant && t.source)) {
    const { packed, quant } = quantiseTensor(t, { dtype: options.dtype, nested: options.doubleQuant }, nativeQuantiser)
    return { rows, cols, dtype, source: { kind: 'data', bytes: packed }, quant }
  }
  if (t.blocks && t.storage.toLowerCase() === dtype)
    return { rows, cols, dtype, source: typeof t.blocks === 'function' ? { kind: 'zero' } : t.blocks }
  if (t.source && t.dtype === dtype) return { rows, cols, dtype, source: t.source, quant: t.quant, sparse }
  if (dtype === 'f32' || dtype === 'bf16') return { rows, cols, dtype, source: { kind: 'zero' }, sparse }
  throw new Error(`${name}: no weight is stored as ${dtype}`)
}

/** Some rows of a weight at a time in the type that the store has, from byte `at` on. @param room memory that they may be made in */
export function* converted(
  t: CheckpointTensor,
  { rows, cols, dtype }: WeightSpec,
  room: (at: number, bytes: number) => Uint8Array | undefined = () => undefined,
): Generator<{ at: number; bytes: Uint8Array; own: Uint8Array | undefined }> {
  if (typeof t.blocks === 'function' && t.storage.toLowerCase() === dtype) {
    const own = room(0, sizeOf({ rows, cols, dtype }))
    const bytes = own ?? new Uint8Array(sizeOf({ rows, cols, dtype }))
    t.blocks(bytes)
    yield { at: 0, bytes, own }
    return
  }
  const step = Math.max(1, Math.floor(CHUNK / cols))
  for (let row = 0, at = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row)
    const own = room(at, count * cols * BYTES[dtype])
    const bytes = t.load(dtype as 'f32' | 'bf16', row, count, own)
    yield { at, bytes, own }
    at += bytes.byteLength
  }
}
