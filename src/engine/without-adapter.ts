/** The base of a model with an adapter, to be asked beside it: the same weights on the device, once. */
import { option, SaqrError, say } from '../error.ts'
import { LanguageModel } from './language-model.ts'

const bases = new WeakMap<LanguageModel, LanguageModel>()

/** @throws SaqrError OPTION_INVALID where there is no adapter, or all weights are trained: the base is not there any more */
export function withoutAdapter(language: LanguageModel): LanguageModel {
  language.alive()
  if (language.spec.kind !== 'lora')
    throw new SaqrError(
      'OPTION_INVALID',
      say`this model has no adapter to leave out (${option('adapter')})${language.spec.kind === 'full' ? ', all its weights are trained; open the checkpoint that it began with' : ''}`,
    )
  let base = bases.get(language)
  if (!base) {
    base = new LanguageModel(language.opened, { kind: 'none' }, 0)
    bases.set(language, base)
  }
  base.promptForm = language.promptForm
  return base
}
