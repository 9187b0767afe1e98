/**
 * Base and adapter as one checkpoint: W + s·B·A, computed in f32 and rounded once. A head that reads the embedding gets a weight of its own
 * where one of the two was changed.
 */
import type { Trained } from '../adapters/adapter.ts'
import { writePromptForm } from '../data/prompt-form.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { writeModelFolder } from '../engine/model-folder.ts'
import { saveTrained } from '../engine/save.ts'
import { checkModelFolder } from '../engine/save-target.ts'
import { find } from '../engine/weights.ts'
import { asF32 } from '../formats/numbers.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'

/** Within one turn of the device, as `saveTrained`. */
export async function saveMerged(model: LanguageModel, folder: string): Promise<void> {
  // without an adapter beside it, what is saved is whole already
  if (model.adapter.config === null) return saveTrained(model, folder)
  checkModelFolder(model.opened, folder)
  await model.opened.device.turn(() => writeMerged(model, folder))
  writePromptForm(folder, model.promptForm)
}

async function writeMerged(model: LanguageModel, folder: string): Promise<void> {
  const { adapter, tokenizer } = model
  const merged = (name: string, t: CheckpointTensor) =>
    adapter.merge(name, { rows: t.rows, cols: t.cols, values: () => asF32(t.load('f32')) }, (trained) => model.trainables.trained(trained))
  /** of a tensor of many matrices some rows at a time: all of them in f32 are more than many machines hold */
  const inParts = (t: CheckpointTensor) => {
    const read = new Map<string, Trained | null>()
    const trained = (name: string) => {
      if (!read.has(name)) read.set(name, model.trainables.trained(name))
      return read.get(name)!
    }
    return (from: number, count: number) => {
      const values = () => asF32(t.load('f32', from, count))
      return adapter.merge(t.name, { rows: count, cols: t.cols, from, values }, trained) ?? values()
    }
  }
  const { head, vocab, channels } = model.opened.model
  const changed = (t: CheckpointTensor) => {
    if (t.parts || t.shape.length > 2) return { rows: inParts(t) }
    const values = merged(t.name, t)
    return values && { rows: (from: number, count: number) => values.subarray(from * t.cols, (from + count) * t.cols) }
  }
  // tied, and adapted as one
  if (!head.tiedTo || adapter.config?.ensureWeightTying) return writeModelFolder(model.opened, folder, changed, { tokenizer })

  const embedding = find(model.opened.checkpoint, { name: `${head.tiedTo}.weight`, rows: vocab, cols: channels })
  const parted = merged(`${head.tiedTo}.weight`, embedding) !== null || merged(`${head.path}.weight`, embedding) !== null
  const values = () => merged(`${head.path}.weight`, embedding) ?? asF32(embedding.load('f32'))
  await writeModelFolder(
    model.opened,
    folder,
    changed,
    parted
      ? { tokenizer, config: { tie_word_embeddings: false }, extra: [{ name: `${head.path}.weight`, shape: embedding.shape, values }] }
      : { tokenizer },
  )
}
