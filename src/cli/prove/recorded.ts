/** What a side of a proof did: its rows, losses, times and first gradients. Both sides write their gradients into files of one form. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf } from '../../formats/numbers.ts'
import { readExactly, withFile } from '../../hub/files.ts'
import { readText } from '../../hub/json.ts'

/** A row as token ids, known by what it holds. */
export interface SeenRow {
  key: string
  tokens: number
  targets: number
}

/** Rows of the micro-batches of an optimizer step. */
export type SeenStep = SeenRow[][]

/** A tensor in a file: a gradient in the first step in which it isn't all 0, or a first value. */
export interface KeptTensor {
  name: string
  /** from 1; of a first value 0 */
  step: number
  shape: readonly number[]
  /** in floats */
  offset: number
}

export interface Side {
  losses: number[]
  /** learning rates, of each step */
  rates: number[]
  /** seconds since the run began, at the end of each step */
  ends: number[]
  rows: SeenStep[]
  gradients: Map<string, KeptTensor>
  /** of raw f32 */
  gradientFile: string
  /** optimizer steps of the whole run */
  totalSteps: number
  memory: Memory
}

export interface Memory {
  /** bytes at most; null: this system doesn't say */
  host: number | null
  /** on cards, and how that is known; null: there is none, or NVIDIA's library is silent */
  card: { bytes: number; by: string } | null
}

/** steps in which gradients are kept: B of LoRA begins at 0, so A has none before B has moved, which a warm-up puts off once more */
export const GRADIENT_STEPS = 3

/** @param targets 1 where a token is learned; nothing predicts the first, whatever it says */
export function seenRow(ids: ArrayLike<number>, targets: ArrayLike<number>): SeenRow {
  const learned = Uint8Array.from(targets, (target, i) => (i === 0 ? 0 : target))
  const hash = createHash('sha256')
    .update(bytesOf(Int32Array.from(ids)))
    .update(learned)
  return { key: hash.digest('hex'), tokens: ids.length, targets: learned.reduce((n, t) => n + t, 0) }
}

/** of a file of tensors: `gradients`, `start` */
export const valuesFile = (folder: string, name: string) => join(folder, `${name}.bin`)

/** its index, as Python's side wrote it */
export function readIndex(folder: string, name: string): Map<string, KeptTensor> {
  const list = JSON.parse(readText(join(folder, `${name}.json`))) as KeptTensor[]
  return new Map(list.map((one) => [one.name, one]))
}

export class TensorWriter {
  readonly kept = new Map<string, KeptTensor>()
  readonly path: string
  readonly #fd: number
  #offset = 0

  constructor(folder: string) {
    this.path = valuesFile(folder, 'gradients')
    this.#fd = openSync(this.path, 'w')
  }

  add(name: string, step: number, shape: readonly number[], values: Float32Array): void {
    const bytes = bytesOf(values)
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, Math.min(bytes.length - at, 2 ** 30))
    this.kept.set(name, { name, step, shape, offset: this.#offset })
    this.#offset += values.length
  }

  close(): void {
    closeSync(this.#fd)
  }
}

export function tensorValues(path: string, { offset, shape }: KeptTensor): Float32Array {
  const count = shape.reduce((n, size) => n * size, 1)
  return withFile(path, (fd) => {
    const bytes = readExactly(fd, path, offset * 4, count * 4)
    return new Float32Array(bytes.buffer, bytes.byteOffset, count)
  })
}
