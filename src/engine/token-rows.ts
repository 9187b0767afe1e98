/** What an adapter's trainable_token_indices mean on a base, before anything is made of them. */
import { Base } from '../adapters/base.ts'
import type { AdapterSpec } from '../adapters/choose.ts'
import { Lora } from '../adapters/lora.ts'
import { tokenRowsProblem } from '../adapters/token-rows.ts'
import { option, SaqrError, say } from '../error.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { Model } from '../models/family.ts'
import { embeddingOf } from './settle.ts'

/** Why these rows can't be trained over this base; null: they can, or there are none. */
export function tokenProblem(model: Model, config: AdapterConfig): string | null {
  if (config.trainableTokenIndices === null) return null
  const { path, tiedTo } = model.head
  const lora = new Lora(new Base({ nf4: false, head: path, tiedTo }), config, false)
  const embedding = embeddingOf(model).replace(/\.weight$/, '')
  return tokenRowsProblem(
    config,
    { embedding, head: path, tiedTo, vocab: model.vocab },
    {
      isAdapted: (at) => lora.isTarget(at, at === embedding ? 'embedding' : 'linear'),
      isWhole: (at) => lora.isSaved(at),
    },
  )
}

/** @throws SaqrError OPTION_INVALID */
export function checkTokens(spec: AdapterSpec, model: Model): void {
  const wrong = spec.kind === 'lora' ? tokenProblem(model, spec.config) : null
  if (wrong !== null) throw new SaqrError('OPTION_INVALID', say`${option('trainableTokenIndices')}: ${wrong}`)
}
