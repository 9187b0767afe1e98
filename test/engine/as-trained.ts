/** An adapter as if it were trained: waves in the place of what begins as zeros, so that all of it shows. */
import { FastLanguageModel, type PretrainedModel } from '../../src/index.ts'

type Options = Parameters<typeof FastLanguageModel.getPeftModel>[1]

export function asTrained(base: PretrainedModel, options: Options, { size = 0.2, step = 1.7 } = {}): PretrainedModel {
  const peft = FastLanguageModel.getPeftModel(base, options)
  const { trainables } = peft.language
  for (const name of trainables.names) {
    const { rows, cols } = trainables.shape(name)
    const wave = Float32Array.from({ length: rows * cols }, (_, i) => size * Math.sin(i * step + name.length))
    trainables.set(name, wave)
  }
  return peft
}
