/**
 * Base and adapter as one checkpoint: W + s·B·A, computed in f32 and rounded once. A head that reads the embedding gets a weight of its own
 * where one of the two was changed.
 */
import { writePromptForm } from '../data/prompt-form.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { writeModelFolder } from '../engine/model-folder.ts'
import { saveTrained } from '../engine/save.ts'
import { checkModelFolder } from '../engine/save-target.ts'
import { changesOf } from './changed.ts'

/** Within one turn of the device, as `saveTrained`. */
export async function saveMerged(model: LanguageModel, folder: string): Promise<void> {
  // without an adapter beside it, what is saved is whole already
  if (model.adapter.config === null) return saveTrained(model, folder)
  checkModelFolder(model.opened, folder)
  await model.opened.device.turn(() => {
    const { changed, head } = changesOf(model)
    const { tokenizer } = model
    const changes = head ? { tokenizer, config: { tie_word_embeddings: false }, extra: [head] } : { tokenizer }
    return writeModelFolder(model.opened, folder, changed, changes)
  })
  writePromptForm(folder, model.promptForm)
}
