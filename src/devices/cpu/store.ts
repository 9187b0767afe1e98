/** Tensors that lie across passes: own pages, or a mapped file read where it lies. */
import { SaqrError } from '../../error.ts'
import { BYTES } from '../../ops/tensor.ts'
import type { QuantSpec, StoreSource, StoreSpec } from '../device.ts'
import { viewOf } from '../ffi.ts'
import type { Native } from './library.ts'
import { mapFile } from './pages.ts'
import { Slabs } from './slabs.ts'

/** sizeof(Quant) of native/saqr.hpp */
const QUANT = 56

interface Piece {
  address: bigint
  bytes: number
  /** of our own memory, to be given back; none: a mapped file's */
  free?: () => void
}
interface Entry {
  /** without its source: bytes once copied are nobody's to keep */
  spec: Pick<StoreSpec, 'rows' | 'cols' | 'dtype'>
  data: Piece
  quant: bigint
  /** codes, scales and the Quant of an nf4 weight */
  beside: Piece[]
}

export class Store {
  readonly #native: Native
  readonly #slabs: Slabs
  readonly #entries = new Map<string, Entry>()
  readonly #files = new Map<string, { address: bigint; bytes: number; users: number }>()

  constructor(native: Native) {
    this.#native = native
    this.#slabs = new Slabs(native)
  }

  add(name: string, spec: StoreSpec): void {
    if (this.#entries.has(name)) throw new Error(`'${name}' is in the store already`)
    const data = this.#place(spec.source, Math.ceil(spec.rows * spec.cols * BYTES[spec.dtype]))
    const beside: Piece[] = []
    let quant = 0n
    try {
      if (spec.quant) quant = this.#quant(spec.quant, spec.rows * spec.cols, beside)
    } catch (error) {
      for (const piece of [data, ...beside]) piece.free?.()
      throw error
    }
    const { rows, cols, dtype } = spec
    this.#entries.set(name, { spec: { rows, cols, dtype }, data, quant, beside })
  }

  has(name: string): boolean {
    return this.#entries.has(name)
  }

  entry(name: string): Entry {
    const entry = this.#entries.get(name)
    if (!entry) throw new Error(`'${name}' is not in the store`)
    return entry
  }

  /** It is out of the store at once; the returned function frees its memory. */
  drop(name: string): () => void {
    const { data, beside } = this.entry(name)
    this.#entries.delete(name)
    return () => {
      for (const piece of [data, ...beside]) piece.free?.()
    }
  }

  /** the tensor's bytes, without a copy; undefined in a runtime that has no such thing */
  view(name: string, offset: number, bytes: number): Uint8Array | undefined {
    const own = viewOf(this.#at(name, offset, bytes), bytes)
    return own && new Uint8Array(own)
  }

  write(name: string, offset: number, bytes: Uint8Array): void {
    const at = this.#at(name, offset, bytes.byteLength)
    if (bytes.byteLength) this.#native.copy(at, bytes, bytes.byteLength)
  }

  read(name: string, offset: number, length = this.entry(name).data.bytes - offset): Uint8Array {
    const at = this.#at(name, offset, length)
    const bytes = new Uint8Array(length)
    if (length) this.#native.copy(bytes, at, length)
    return bytes
  }

  /** @throws Error where the tensor hasn't these bytes */
  #at(name: string, offset: number, length: number): bigint {
    const { data } = this.entry(name)
    if (offset < 0 || offset + length > data.bytes) throw new Error(`'${name}' has ${data.bytes} bytes, not ${offset + length}`)
    return data.address + BigInt(offset)
  }

  size(): { store: number; mapped: number } {
    let store = 0
    let mapped = 0
    for (const { data, beside } of this.#entries.values()) {
      for (const piece of [data, ...beside]) {
        if (piece.free) store += Number(this.#native.resident(piece.address, piece.bytes))
        else mapped += piece.bytes
      }
    }
    return { store, mapped }
  }

  dispose(): void {
    for (const name of [...this.#entries.keys()]) this.drop(name)()
    for (const { address, bytes } of this.#files.values()) this.#native.unmap(address, bytes)
    this.#files.clear()
  }

  #alloc(bytes: number): Piece {
    return { ...this.#slabs.take(bytes), bytes }
  }

  #copy(bytes: Uint8Array, expected: number): Piece {
    if (bytes.byteLength !== expected) throw new Error(`${bytes.byteLength} bytes given where ${expected} belong`)
    const piece = this.#alloc(expected)
    if (expected) this.#native.copy(piece.address, bytes, expected)
    return piece
  }

  #place(source: StoreSource, bytes: number): Piece {
    if (source.kind === 'zero') return this.#alloc(bytes)
    if (source.kind === 'data') return this.#copy(source.bytes, bytes)
    const file = this.#map(source.path)
    if (source.offset + bytes > file.bytes)
      throw new SaqrError('FORMAT_TRUNCATED', `${source.path} ends before byte ${source.offset + bytes}`)
    return { address: file.address + BigInt(source.offset), bytes }
  }

  #map(path: string) {
    let file = this.#files.get(path)
    if (!file) {
      const mapped = mapFile(this.#native, path)
      if (!mapped) throw new SaqrError('FORMAT_UNREADABLE', `can't map a file: ${this.#native.lastError()}`)
      this.#files.set(path, (file = { ...mapped, users: 0 }))
    }
    return file
  }

  #quant(q: QuantSpec, elements: number, beside: Piece[]): bigint {
    const keep = (piece: Piece) => {
      beside.push(piece)
      return piece.address
    }
    const floats = (values: Float32Array) =>
      keep(this.#copy(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), values.byteLength))
    const blocks = Math.ceil(elements / q.blocksize)
    const out = new DataView(new ArrayBuffer(QUANT))
    out.setBigUint64(0, floats(q.codebook), true)
    if (q.nested) {
      out.setBigUint64(16, keep(this.#place(q.absmax, blocks)), true)
      out.setBigUint64(24, floats(q.nested.code), true)
      out.setBigUint64(32, keep(this.#place(q.nested.absmax, Math.ceil(blocks / q.nested.blocksize) * 4)), true)
      out.setFloat32(40, q.nested.offset, true)
    } else {
      out.setBigUint64(8, keep(this.#place(q.absmax, blocks * 4)), true)
    }
    out.setInt32(44, q.blocksize, true)
    out.setInt32(48, q.nested?.blocksize ?? 0, true)
    return keep(this.#copy(new Uint8Array(out.buffer), QUANT))
  }
}
