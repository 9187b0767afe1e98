/** The base of a model with an adapter, to be asked beside it: the same weights on the device, once. */
import { option, SaqrError, say } from '../error.ts'
import { LanguageModel } from './language-model.ts'

/**
 * It is disposed of with the adapter.
 * @throws SaqrError OPTION_INVALID where there is no adapter, or all weights are trained: the base is not there any more; MODEL_TRAINING where it
 * needs weights that the adapter trains in its own copy, and a run goes on
 */
export function withoutAdapter(language: LanguageModel): LanguageModel {
  language.alive()
  if (language.spec.kind !== 'lora')
    throw new SaqrError(
      'OPTION_INVALID',
      say`this model has no adapter to leave out (${option('adapter')})${language.spec.kind === 'full' ? ', all its weights are trained; open the checkpoint that it began with' : ''}`,
    )
  const { opened } = language
  if (!language.withoutAdapter && !opened.holds(opened.inspect({ kind: 'none' })))
    opened.untrained('the weights of the base that the adapter has others for')
  const base = (language.withoutAdapter ??= new LanguageModel(opened, { kind: 'none' }, 0))
  base.promptForm = language.promptForm
  return base
}
