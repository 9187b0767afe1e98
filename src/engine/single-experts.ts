/**
 * A trained adapter whose targets name the linears of single experts (`adapters/apart-targets.ts`) and drop their inputs: its file has a low-rank
 * part for each, under the names and with the configuration that it was given. As one over tensors of all experts PEFT would refuse it.
 */
import type { ExpertPart } from '../adapters/adapter.ts'
import { transpose } from '../adapters/low-rank.ts'
import { bytesOf } from '../formats/numbers.ts'
import type { SingleExperts } from '../formats/peft/config.ts'
import { PEFT_PREFIX } from '../formats/peft/read.ts'
import type { TensorToWrite } from '../formats/safetensors/write.ts'
import { expertStacks } from './expert-adapters.ts'
import type { LanguageModel } from './language-model.ts'
import { parametersOf } from './settle.ts'
import type { Trainables } from './trainables.ts'
import type { Unfused } from './unfused.ts'

/** @param others writes a trained tensor as it is */
export function singleExperts(model: LanguageModel, { given }: SingleExperts, others: (name: string) => TensorToWrite): Unfused {
  const { trainables, opened } = model
  const config = model.adapter.config!
  const spec = (name: string) => trainables.layout.entries.get(name)?.spec
  const stacks = expertStacks(opened.model, [...parametersOf(opened.model).keys()], config, spec)
  const tensors = stacks.flatMap(({ name, path, a, b }) => {
    const linears = opened.model.apart!(name).map((piece) => PEFT_PREFIX + piece.replace(/\.weight$/, ''))
    return linears.flatMap((linear, e) => [
      partOf(trainables, `${path}.lora_A.weight`, `${linear}.lora_A.weight`, e, a.experts!),
      partOf(trainables, `${path}.lora_B.weight`, `${linear}.lora_B.weight`, e, b.experts!),
    ])
  })
  const taken = new Set(stacks.flatMap(({ path }) => ['lora_A', 'lora_B'].map((part) => `${path}.${part}.weight`)))
  const { baseModelNameOrPath, revision } = config
  return {
    config: { ...given, baseModelNameOrPath, revision },
    tensors: [...trainables.names.filter((name) => !taken.has(name)).map(others), ...tensors],
  }
}

/** of expert e: A (r, in) or B (out, r) */
function partOf(trainables: Trainables, name: string, as: string, e: number, { of, size, r, wide }: ExpertPart): TensorToWrite {
  const [rows, cols] = wide ? [r, size] : [size, r]
  const lies = wide === (of === 'A')
  return {
    name: as,
    dtype: 'F32',
    shape: of === 'A' ? [r, size] : [size, r],
    data() {
      const own = trainables.rows(name, e * rows, rows)
      return bytesOf(lies ? own : transpose(own, rows, cols))
    },
  }
}
