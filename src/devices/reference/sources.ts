/** First values of a store tensor as f64; NF4 by its definition (formats.md's formula in f32, as every device computes it). */
import { closeSync, openSync, readSync } from 'node:fs'
import { BYTES } from '../../ops/tensor.ts'
import type { QuantSpec, StoreSource, StoreSpec } from '../device.ts'
import { decode } from './numbers.ts'

export function readSource(spec: StoreSpec): Float64Array {
  const n = spec.rows * spec.cols
  if (spec.source.kind === 'zero') return new Float64Array(n)
  const bytes = sourceBytes(spec.source, Math.ceil(n * BYTES[spec.dtype]))
  if (!spec.quant) return decode(bytes, spec.dtype)
  const scales = blockScales(spec.quant, Math.ceil(n / spec.quant.blocksize))
  const { codebook, blocksize } = spec.quant
  const values = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const byte = bytes[i >> 1]!
    values[i] = Math.fround(codebook[i & 1 ? byte & 15 : byte >> 4]! * scales[Math.floor(i / blocksize)]!)
  }
  return values
}

function blockScales(quant: QuantSpec, blocks: number): Float32Array {
  if (!quant.nested) return Float32Array.from(decode(sourceBytes(quant.absmax, blocks * 4), 'f32'))
  const { blocksize, code, absmax, offset } = quant.nested
  const codes = sourceBytes(quant.absmax, blocks)
  const outer = decode(sourceBytes(absmax, Math.ceil(blocks / blocksize) * 4), 'f32')
  return Float32Array.from(codes, (q, i) => Math.fround(Math.fround(code[q]! * outer[Math.floor(i / blocksize)]!) + offset))
}

export function sourceBytes(source: StoreSource, bytes: number): Uint8Array {
  if (source.kind === 'zero') return new Uint8Array(bytes)
  if (source.kind === 'data') return source.bytes
  const out = new Uint8Array(bytes)
  const file = openSync(source.path, 'r')
  try {
    for (let at = 0; at < bytes; ) {
      const got = readSync(file, out, at, bytes - at, source.offset + at)
      if (got === 0) throw new Error(`${source.path} ends before byte ${source.offset + bytes}`)
      at += got
    }
  } finally {
    closeSync(file)
  }
  return out
}
