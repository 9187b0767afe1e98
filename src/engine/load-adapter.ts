/** A PEFT adapter folder over an open base: the same tensors, to generate with or to train on. */

import { SaqrError } from '../error.ts'
import type { Adapter } from '../formats/peft/read.ts'
import { adaptedBase } from './adapted-base.ts'
import { readAdapterOver } from './adapter-names.ts'
import { type Places, placesOf } from './adapter-tensors.ts'
import { LanguageModel } from './language-model.ts'
import type { OpenedModel } from './opened-model.ts'
import { sameValues } from './settle.ts'
import { tokenProblem } from './token-rows.ts'

/**
 * @param opened the base as the adapter has it (`adaptedBase`)
 * @throws SaqrError FORMAT_ADAPTER where its tensors are not those that its configuration means on this base
 */
export function loadAdapter(opened: OpenedModel, folder: string): LanguageModel {
  const adapter = readAdapterOver(folder, opened.model)
  checkBase(opened, adapter, folder)
  const wrong = tokenProblem(opened.model, adapter.config)
  if (wrong !== null) throw bad(folder, `has trainable_token_indices that are none of this base: ${wrong}`)
  const model = new LanguageModel(opened, { kind: 'lora', config: adapter.config }, 0)
  try {
    fill(model, adapter, folder)
    return model
  } catch (error) {
    model.disposeAdapter()
    throw error
  }
}

/** The base was opened with what the adapter keeps of it, or has the same values. */
function checkBase(opened: OpenedModel, adapter: Adapter, folder: string): void {
  const { checkpoint } = opened
  if (checkpoint.adapter?.folder === folder) return
  const { tensors } = adaptedBase(checkpoint, adapter, folder)
  for (const [name, tensor] of tensors) {
    const there = checkpoint.tensors.get(name)
    if (tensor === there || (there && sameValues(tensor, there))) continue
    throw bad(folder, `keeps ${name} with other values than this base: open the adapter's folder itself, which opens its base with them`)
  }
}

/** Values of what is trained out of an adapter's file, which may have them in any form that is read. @throws SaqrError FORMAT_ADAPTER */
export function takeValues(model: LanguageModel, adapter: Adapter, folder: string): Places {
  const { trainables, opened } = model
  const { copies } = model.adapter
  const places = placesOf(adapter, folder, {
    ...{ model: opened.model, path: opened.checkpoint.path, config: model.adapter.config!, copies },
    trained: new Map([...trainables.layout.entries].map(([name, { spec }]) => [name, spec])),
  })
  for (const [name, values] of places.values) trainables.set(name, values())
  return places
}

function fill(model: LanguageModel, adapter: Adapter, folder: string): void {
  const { trainables, opened } = model
  const { copies } = model.adapter
  const places = takeValues(model, adapter, folder)
  const { names } = trainables
  // one object for each, also where the base reads it: a file that is written over moves them
  const { adapter: known } = opened.checkpoint
  model.kept = [...(known?.folder === folder ? known : adapter).stored].filter(
    ([name]) => !names.includes(name) && !copies?.has(name) && !places.taken.has(name) && !name.endsWith('.modules_to_save.weight'),
  )
}

const bad = (folder: string, why: string) => new SaqrError('FORMAT_ADAPTER', `The adapter ${folder} ${why}.`)
