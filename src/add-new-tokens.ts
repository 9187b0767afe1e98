/** Tokens for tokenizer and model in one call, under Unsloth's name. */
import { checkResizable } from './engine/resize.ts'
import { SaqrError, say } from './error.ts'
import { type Checks, idle, shown, takeOptions, texts, word } from './hub/arguments.ts'
import { PretrainedModel } from './pretrained-model.ts'
import { Tokenizer } from './text/tokenizer.ts'

/** Options of addNewTokens, under Unsloth’s names. */
export interface AddNewTokensOptions {
  /** texts of the tokens */
  newTokens: readonly string[]
  /** how their rows begin: mean (default), around the mean of the rows there are, as resizeTokenEmbeddings draws them */
  method?: 'mean'
}

const OPTIONS: Checks<AddNewTokensOptions & { interpolation: undefined }> = {
  newTokens: texts,
  method: word({ mean: 'mean' }, { interpolation: 'rows are not made of those of other tokens here; use mean' }),
  interpolation: idle,
}

/**
 * Adds the tokens to the tokenizer and gives the model a row for each, before getPeftModel. To train their rows, name them there:
 * `trainableTokenIndices` trains these alone, `modulesToSave: ['embed_tokens', 'lm_head']` all rows.
 * @returns how many rows the embedding has now
 * @throws SaqrError OPTION_INVALID
 */
export async function addNewTokens(model: PretrainedModel, tokenizer: Tokenizer, options: AddNewTokensOptions): Promise<number> {
  if (!(model instanceof PretrainedModel) || !(tokenizer instanceof Tokenizer))
    throw new SaqrError('OPTION_INVALID', `addNewTokens takes a model and its tokenizer, not ${shown(model)} and ${shown(tokenizer)}`)
  if (tokenizer !== model.tokenizer)
    throw new SaqrError(
      'OPTION_INVALID',
      'addNewTokens takes the tokenizer that fromPretrained gave with the model: others would lack the tokens',
    )
  const { newTokens = [] } = takeOptions<AddNewTokensOptions>(options, 'addNewTokens', OPTIONS)
  const empty = newTokens.find((token) => token.trim() === '')
  if (newTokens.length === 0 || empty !== undefined)
    throw new SaqrError('OPTION_INVALID', say`newTokens needs texts of tokens, not ${shown(options?.newTokens)}`)
  checkResizable(model.language)
  tokenizer.addTokens(newTokens)
  return model.resizeTokenEmbeddings(Math.max(model.vocabSize, tokenizer.idLimit))
}
