/** Runs of one model follow one another: they change the same tensors. */
import { Turns } from '../devices/turns.ts'
import type { LanguageModel } from '../engine/language-model.ts'

const turns = new WeakMap<LanguageModel, Turns>()

/** Waits for the runs before. Returns what ends this one's turn. Rejects with the signal's reason where that comes first. */
export async function turnOn(model: LanguageModel, signal?: AbortSignal): Promise<() => void> {
  let queue = turns.get(model)
  if (!queue) turns.set(model, (queue = new Turns()))
  return await new Promise((begin, reject) => {
    const work = () => new Promise<void>((end) => begin(() => end()))
    queue.take(work, signal).catch(reject)
  })
}
