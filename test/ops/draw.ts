/** Numbers of a case: deterministic, as the device holds them (bytes in their dtype) and as the definition reads them (f64). */

import type { StoreSpec } from '../../src/devices/device.ts'
import { decode, encode as encodeValues } from '../../src/devices/reference/numbers.ts'
import { readSource } from '../../src/devices/reference/sources.ts'
import { dynamicMap } from '../../src/formats/dynamic-map.ts'
import { nestAbsmax, nf4Blocksize, nf4Codebook, nf4NestedBlocksize, quantiseNf4 } from '../../src/formats/nf4.ts'
import { bytesOf, f32ToF16 } from '../../src/formats/numbers.ts'
import { hash32 } from '../../src/ops/dropout/op.ts'
import type { CaseInput, DType, Matrix, OpCase } from '../../src/ops/op.ts'

export type Activation = 'f32' | 'bf16'

export interface Drawn {
  input: CaseInput
  dtype: DType
  /** rows and columns of the root; the input itself when it is no view */
  cols: number
  from: number
  /** the root, dense, in its dtype */
  bytes: Uint8Array
  /** an nf4 weight's quantisation */
  quant?: StoreSpec['quant']
  /** what the definition reads: the view alone */
  matrix: Matrix
}

/** Numbers in [0, 1): mulberry32. */
export function random(seed: number): () => number {
  let s = seed
  return () => {
    s = (s + 0x6d2b79f5) | 0
    let t = Math.imul(s ^ (s >>> 15), 1 | s)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** different numbers of one draw; longer ones repeat them */
const DIFFERENT = 65536

/** normal random numbers times `scale` */
export function normals(n: number, seed: string, scale = 1): Float64Array {
  const uniform = random(hash32(seed))
  const values = new Float64Array(n)
  for (let i = 0; i < Math.min(n, DIFFERENT); i++) {
    values[i] = scale * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  }
  for (let i = DIFFERENT; i < n; i += DIFFERENT) values.copyWithin(i, 0, Math.min(DIFFERENT, n - i))
  return values
}

/** values in a dtype, rounded to nearest */
export function encode(values: Float64Array, dtype: DType): Uint8Array {
  return dtype === 'f16' ? bytesOf(f32ToF16(new Float32Array(values))) : encodeValues(values, dtype)
}

/** 4-bit, with double quantisation on demand */
export function quantised(values: Float64Array, nested: boolean): { bytes: Uint8Array; quant: NonNullable<StoreSpec['quant']> } {
  const { packed, absmax } = quantiseNf4(Float32Array.from(values))
  const shared = { blocksize: nf4Blocksize, codebook: nf4Codebook }
  if (!nested) return { bytes: packed, quant: { ...shared, absmax: { kind: 'data', bytes: bytesOf(absmax) } } }
  const n = nestAbsmax(absmax)
  const inner = {
    blocksize: nf4NestedBlocksize,
    code: dynamicMap(true),
    absmax: { kind: 'data', bytes: bytesOf(n.absmax) },
    offset: n.offset,
  } as const
  return { bytes: packed, quant: { ...shared, absmax: { kind: 'data', bytes: n.codes }, nested: inner } }
}

/** The inputs of a case. `nested`: how nf4 weights keep their scales. */
export function draw(c: OpCase, activation: Activation, nested = false): (Drawn | null)[] {
  return c.inputs.map((input, i) => {
    if (!input) return null
    const dtype = input.dtype === 'act' ? activation : input.dtype
    const { rows } = input
    const { cols, from } = input.within ?? { cols: input.cols, from: 0 }
    const values = normals(rows * cols, `${c.op.name} ${c.name} ${i}`, input.scale)
    if (input.values)
      for (let k = 0; k < rows * input.cols; k++) values[Math.floor(k / input.cols) * cols + from + (k % input.cols)] = input.values[k]!
    if (dtype === 'nf4') {
      const { bytes, quant } = quantised(values, nested)
      const data = readSource({ rows, cols, dtype, source: { kind: 'data', bytes }, quant })
      return { input, dtype, cols, from, bytes, quant, matrix: { rows, cols, data } }
    }
    const bytes = encode(values, dtype)
    return { input, dtype, cols, from, bytes, matrix: columns(decode(bytes, dtype), rows, cols, from, input.cols) }
  })
}

function columns(root: Float64Array, rows: number, stride: number, from: number, cols: number): Matrix {
  const data = new Float64Array(rows * cols)
  for (let i = 0; i < rows; i++) data.set(root.subarray(i * stride + from, i * stride + from + cols), i * cols)
  return { rows, cols, data }
}
