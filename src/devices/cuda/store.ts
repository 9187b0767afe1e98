/** Persistent tensors on the card, by name; files are read piece by piece through pinned memory. */
import { closeSync, openSync, readSync } from 'node:fs'
import { SaqrError } from '../../error.ts'
import { castInto } from '../../ops/cast/cuda.ts'
import type { CudaQuant, CudaTensor, KernelLaunch } from '../../ops/cuda-launch.ts'
import { sizeOf } from '../../ops/tensor.ts'
import type { QuantSpec, StoreSource, StoreSpec } from '../device.ts'
import type { Card } from './card.ts'
import { Slabs } from './slabs.ts'

export interface Stored {
  spec: StoreSpec
  at: bigint
  bytes: number
  quant: CudaQuant | null
  /** the same in bf16, and who keeps it */
  dense: (CudaTensor & { keepers: Set<object> }) | null
  /** everything to free with it */
  pieces: Piece[]
}

interface Piece {
  at: bigint
  bytes: number
  /** it is pinned host memory */
  host: boolean
}

export class CudaStore {
  readonly #card: Card
  readonly #slabs: Slabs
  readonly #entries = new Map<string, Stored>()

  constructor(card: Card) {
    this.#card = card
    this.#slabs = new Slabs(card)
  }

  add(name: string, spec: StoreSpec): void {
    if (this.#entries.has(name)) throw new Error(`'${name}' is in the store already`)
    if ((spec.dtype === 'nf4') !== (spec.quant !== undefined)) throw new Error(`'${name}': nf4 and its quantisation state belong together`)
    const pieces: Piece[] = []
    const bytes = sizeOf(spec)
    try {
      const at = this.#place(name, spec.source, bytes, pieces, spec.sparse)
      const quant = spec.quant ? this.#quant(name, spec.quant, spec.rows * spec.cols, pieces) : null
      this.#entries.set(name, { spec, at, bytes, quant, dense: null, pieces })
    } catch (error) {
      this.#free(pieces)
      throw error
    }
  }

  has(name: string): boolean {
    return this.#entries.has(name)
  }

  get(name: string): Stored {
    const entry = this.#entries.get(name)
    if (!entry) throw new Error(`'${name}' is not in the store`)
    return entry
  }

  /** It is out of the store at once; the returned function frees its memory. */
  drop(name: string): () => void {
    const entry = this.get(name)
    this.#entries.delete(name)
    return () => this.#free(entry.pieces)
  }

  #free(pieces: Piece[]): void {
    for (const { at, host } of pieces) host ? this.#card.freeHost(at) : this.#slabs.free(at)
  }

  /** Brings it to pinned host memory, where the card reads it too, or back; false: it lies there. */
  move(name: string, to: 'host' | 'device'): boolean {
    const entry = this.get(name)
    const { bytes, pieces, quant } = entry
    if (quant) throw new Error(`'${name}' lies in pieces`)
    const [{ host = false }] = pieces as [Piece]
    if (host === (to === 'host')) return false
    const moved: Piece = { at: this.#alloc(name, bytes, !host), bytes, host: !host }
    this.#card.driver.call('copy', moved.at, entry.at, bytes, this.#card.stream)
    this.#card.synchronize()
    this.#free(pieces)
    entry.at = moved.at
    entry.pieces = [moved]
    return true
  }

  /**
   * 4-bit tensors are to lie in bf16 too: what fills the new ones has to run before `commit`, after which they are read; `undo` instead leaves
   * everything as it was. @throws SaqrError MEMORY_REFUSED, with nothing changed
   */
  keepDense(owner: object, names: readonly string[]): { launches: KernelLaunch[]; commit: () => void; undo: () => void } {
    const entries = names.map((name) => ({ name, entry: this.get(name) }))
    const made: { entry: Stored; dense: CudaTensor; piece: Piece; launch: KernelLaunch }[] = []
    const undo = () => this.#free(made.map(({ piece }) => piece))
    try {
      for (const { name, entry } of entries) {
        if (entry.dense) continue
        const { rows, cols, dtype } = entry.spec
        const piece = { at: this.#alloc(name, rows * cols * 2, false), bytes: rows * cols * 2, host: false }
        const dense: CudaTensor = { at: piece.at, rows, cols, stride: cols, dtype: 'bf16', quant: null }
        made.push({
          entry,
          dense,
          piece,
          launch: castInto(name, { at: entry.at, rows, cols, stride: cols, dtype, quant: entry.quant }, dense),
        })
      }
    } catch (error) {
      undo()
      throw error
    }
    const commit = () => {
      for (const { entry, dense, piece } of made) {
        entry.pieces.push(piece)
        entry.dense = { ...dense, keepers: new Set() }
      }
      for (const { entry } of entries) entry.dense!.keepers.add(owner)
    }
    return { launches: made.map(({ launch }) => launch), commit, undo }
  }

  /** Gives back what nobody else keeps; false: there was nothing of his. */
  dropDense(owner: object): boolean {
    let gone = false
    for (const entry of this.#entries.values()) {
      const { dense } = entry
      if (!dense?.keepers.delete(owner) || dense.keepers.size > 0) continue
      this.#free(entry.pieces.filter(({ at }) => at === dense.at))
      entry.pieces = entry.pieces.filter(({ at }) => at !== dense.at)
      entry.dense = null
      gone = true
    }
    return gone
  }

  #alloc(name: string, bytes: number, host: boolean): bigint {
    return host ? this.#card.allocHost(bytes, `'${name}'`) : this.#slabs.alloc(bytes, `'${name}'`)
  }

  write(name: string, bytes: Uint8Array, byteOffset: number): void {
    const at = this.#range(name, byteOffset, bytes.length)
    this.#card.upload(at, bytes.length, (piece, from) => piece.set(bytes.subarray(from, from + piece.length)))
  }

  read(name: string, byteOffset = 0, bytes = this.get(name).bytes - byteOffset): Uint8Array {
    return this.#card.download(this.#range(name, byteOffset, bytes), bytes)
  }

  #range(name: string, from: number, bytes: number): bigint {
    const entry = this.get(name)
    if (from < 0 || from + bytes > entry.bytes) throw new Error(`'${name}' has ${entry.bytes} bytes, not ${from + bytes}`)
    return entry.at + BigInt(from)
  }

  /** bytes on the card, without copies in bf16, which are a run's own */
  bytes(): number {
    let sum = 0
    for (const { pieces, dense } of this.#entries.values())
      for (const { at, bytes, host } of pieces) if (!host && at !== dense?.at) sum += bytes
    return sum
  }

  /** bytes of pinned host memory */
  hostBytes(): number {
    let sum = 0
    for (const { pieces } of this.#entries.values()) for (const { bytes, host } of pieces) if (host) sum += bytes
    return sum
  }

  dispose(): void {
    for (const name of [...this.#entries.keys()]) this.drop(name)()
  }

  #place(name: string, source: StoreSource, bytes: number, pieces: Piece[], host = false): bigint {
    if (source.kind === 'data' && source.bytes.length !== bytes)
      throw new Error(`'${name}': ${source.bytes.length} bytes given where ${bytes} belong`)
    const at = this.#alloc(name, bytes, host)
    pieces.push({ at, bytes, host })
    if (source.kind === 'zero') this.#card.zero(at, bytes)
    else if (source.kind === 'data')
      this.#card.upload(at, bytes, (piece, from) => piece.set(source.bytes.subarray(from, from + piece.length)))
    else this.#fromFile(at, bytes, source.path, source.offset)
    return at
  }

  #fromFile(address: bigint, bytes: number, path: string, offset: number): void {
    const file = openSync(path, 'r')
    try {
      this.#card.upload(address, bytes, (piece, from) => {
        for (let done = 0; done < piece.length; ) {
          const got = readSync(file, piece, done, piece.length - done, offset + from + done)
          if (got === 0) throw new SaqrError('FORMAT_TRUNCATED', `${path} ends before byte ${offset + bytes}`)
          done += got
        }
      })
    } finally {
      closeSync(file)
    }
  }

  #quant(name: string, q: QuantSpec, elements: number, pieces: Piece[]): CudaQuant {
    const blocks = Math.ceil(elements / q.blocksize)
    const floats = (values: Float32Array) => {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
      return this.#place(name, { kind: 'data', bytes }, bytes.length, pieces)
    }
    const absmax = this.#place(name, q.absmax, q.nested ? blocks : blocks * 4, pieces)
    const common = { codebook: floats(q.codebook), blocksize: q.blocksize }
    if (!q.nested) return { ...common, absmax, absmax8: 0n, code2: 0n, absmax2: 0n, offset: 0, blocksize2: 1 }
    const { code, offset, blocksize } = q.nested
    const absmax2 = this.#place(name, q.nested.absmax, Math.ceil(blocks / blocksize) * 4, pieces)
    return { ...common, absmax: 0n, absmax8: absmax, code2: floats(code), absmax2, offset, blocksize2: blocksize }
  }
}
