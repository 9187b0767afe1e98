/** What a side of a proof did: its rows, losses, times and first gradients. Both sides write their gradients into files of one form. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf } from '../../formats/numbers.ts'
import { readExactly, withFile } from '../../hub/files.ts'
import { readText } from '../../hub/json.ts'

/** A sequence as token ids, known by what it holds and what it is to its row. */
export interface SeenRow {
  key: string
  tokens: number
  targets: number
}

/** Rows of the micro-batches of an optimizer step. */
export type SeenStep = SeenRow[][]

/** A tensor in a file: a gradient in the first step in which it isn't all 0, a first value, or a last one. */
export interface KeptTensor {
  name: string
  /** from 1; of a first value 0, of a last one that of all */
  step: number
  shape: readonly number[]
  /** in floats */
  offset: number
}

/** Tensors in a file of raw f32. */
export interface Values {
  tensors: ReadonlyMap<string, KeptTensor>
  file: string
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
  /** what was trained, after the last step */
  end: Values
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

/** Which of several sequences of a row it is, and of a rated row whether it is wanted. */
export interface Place {
  part: number
  wanted?: boolean | undefined
}

/** @param targets 1 where a token is learned or scored; nothing predicts the first, whatever it says */
export function seenRow(ids: ArrayLike<number>, targets: ArrayLike<number>, { part, wanted }: Place = { part: 0 }): SeenRow {
  const learned = Uint8Array.from(targets, (target, i) => (i === 0 ? 0 : target))
  const hash = createHash('sha256')
    .update(bytesOf(Int32Array.from(ids)))
    .update(learned)
    .update(`${part} ${wanted ?? ''}`)
  return { key: hash.digest('hex'), tokens: ids.length, targets: learned.reduce((n, t) => n + t, 0) }
}

/** of a file of tensors: `gradients`, `start`, `end` */
export const valuesFile = (folder: string, name: string) => join(folder, `${name}.bin`)

/** its index, as Python's side wrote it */
export function readIndex(folder: string, name: string): Map<string, KeptTensor> {
  const list = JSON.parse(readText(join(folder, `${name}.json`))) as KeptTensor[]
  return new Map(list.map((one) => [one.name, one]))
}

/** the file with its index */
export const readValues = (folder: string, name: string): Values => ({ tensors: readIndex(folder, name), file: valuesFile(folder, name) })

/** The shape by which tensors are compared: here the experts of a mixture lie one below the other, where transformers has a dimension of them more. */
export function matrix(shape: readonly number[]): string {
  const cols = shape.at(-1) ?? 1
  return (shape.length < 3 ? shape : [shape.slice(0, -1).reduce((n, size) => n * size, 1), cols]).join(' × ')
}

export class TensorWriter {
  readonly kept = new Map<string, KeptTensor>()
  readonly path: string
  readonly #fd: number
  #offset = 0

  constructor(folder: string, name: string) {
    this.path = valuesFile(folder, name)
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
