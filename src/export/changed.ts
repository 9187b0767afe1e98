/** What became of the checkpoint's tensors: W + s·B·A in f32 where there is an adapter, trained values where all weights are. */
import { isDeepStrictEqual } from 'node:util'
import type { Trained } from '../adapters/adapter.ts'
import { valuesOf } from '../devices/cpu/dense-values.ts'
import { nativeAddLowRank as addLowRank } from '../devices/cpu/low-rank.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import type { ChangedRows } from '../engine/model-folder.ts'
import { find } from '../engine/weights.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'

export interface Changes {
  /** new values of a tensor of the checkpoint, which hold until the next are read, or null where it stays as it is; asked when its turn comes */
  changed(t: CheckpointTensor): ChangedRows | null
  /** the weight that a tied head has where it and the embedding are no longer one; null: they are, or never were */
  head: { name: string; shape: readonly number[]; values: () => Float32Array } | null
}

/** Within one turn of the device. */
export function changesOf(model: LanguageModel): Changes {
  const { adapter, trained } = model
  if (adapter.config === null) {
    const changed = ({ name }: CheckpointTensor) =>
      trained?.layout.entries.has(name) ? { rows: (from: number, count: number) => trained.rows(name, from, count) } : null
    return { changed, head: null }
  }
  const merged = (name: string, t: CheckpointTensor) =>
    adapter.merge(name, { rows: t.rows, cols: t.cols, values: () => valuesOf(t), addLowRank }, (trained) =>
      model.trainables.trained(trained),
    )
  /** the trained tensors that it would be made of, from a row of it */
  const madeOf = (name: string, t: CheckpointTensor): string[] => {
    const made = new Set<string>()
    adapter.merge(name, { rows: 1, cols: t.cols, from: 0, values: () => valuesOf(t, 0, 1), addLowRank }, (trained) => {
      const found = model.trainables.trained(trained)
      if (found) made.add(trained)
      return found
    })
    return [...made].sort()
  }
  /** some rows at a time, in the same memory: what was read last is in the processor's caches still, and no page is asked of the system twice */
  const inParts = (t: CheckpointTensor) => {
    const read = new Map<string, Trained | null>()
    const trained = (name: string) => {
      if (!read.has(name)) read.set(name, model.trainables.trained(name))
      return read.get(name)!
    }
    let room = new Float32Array(0)
    return (from: number, count: number): Float32Array | null => {
      const values = () => {
        if (room.length < count * t.cols) room = new Float32Array(count * t.cols)
        return valuesOf(t, from, count, room)
      }
      return adapter.merge(t.name, { rows: count, cols: t.cols, from, values, addLowRank }, trained)
    }
  }
  const changed = (t: CheckpointTensor) => {
    const part = inParts(t)
    return part(0, 1) && { rows: (from: number, count: number) => part(from, count)! }
  }
  const { head, vocab, channels } = model.opened.model
  // tied, and adapted as one
  if (!head.tiedTo || adapter.config.ensureWeightTying) return { changed, head: null }
  const embedding = find(model.opened.checkpoint, { name: `${head.tiedTo}.weight`, rows: vocab, cols: channels })
  // one weight still where both are made of the same: rows of tokens that both have
  const [ofEmbedding, ofHead] = [`${head.tiedTo}.weight`, `${head.path}.weight`].map((name) => madeOf(name, embedding))
  const parted = !isDeepStrictEqual(ofEmbedding, ofHead)
  const values = () => merged(`${head.path}.weight`, embedding) ?? valuesOf(embedding)
  return { changed, head: parted ? { name: `${head.path}.weight`, shape: embedding.shape, values } : null }
}
