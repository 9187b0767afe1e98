/** A PEFT adapter folder over an open base: the same tensors, to generate with or to train on. */
import { SaqrError } from '../error.ts'
import { asF32 } from '../formats/numbers.ts'
import { readAdapter } from '../formats/peft/read.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import { LanguageModel } from './language-model.ts'
import type { OpenModel } from './open-model.ts'
import type { Trainables } from './trainables.ts'

/** @throws SaqrError FORMAT_ADAPTER where its tensors are not those that its configuration means on this base */
export function loadAdapter(open: OpenModel, folder: string): LanguageModel {
  const adapter = readAdapter(folder)
  const given = new Map<string, CheckpointTensor>(adapter.saved)
  for (const [path, { embedding, a, b }] of adapter.modules) {
    given.set(`${path}.${embedding ? 'lora_embedding_A' : 'lora_A.weight'}`, a)
    given.set(`${path}.${embedding ? 'lora_embedding_B' : 'lora_B.weight'}`, b)
  }
  const model = new LanguageModel(open, { kind: 'lora', config: adapter.config }, 0)
  try {
    fill(model.trainables, given, folder)
    return model
  } catch (error) {
    model.disposeAdapter()
    throw error
  }
}

function fill(trainables: Trainables, given: Map<string, CheckpointTensor>, folder: string): void {
  for (const name of trainables.names) {
    const t = given.get(name.replace('.base_layer.', '.'))
    const { rows, cols } = trainables.shape(name)
    if (!t) throw bad(folder, `has no ${name}, which its adapter_config.json and the base call for`)
    if (t.rows !== rows || t.cols !== cols)
      throw bad(folder, `has ${name} as ${t.shape.join(' × ')}; this base takes ${rows} × ${cols}: is it another model's adapter?`)
    trainables.set(name, asF32(t.load('f32')))
    given.delete(name.replace('.base_layer.', '.'))
  }
  const [extra] = given.keys()
  if (extra !== undefined) throw bad(folder, `has ${extra}, which this base has no place for: is it another model's adapter?`)
}

const bad = (folder: string, why: string) => new SaqrError('FORMAT_ADAPTER', `The adapter ${folder} ${why}.`)
