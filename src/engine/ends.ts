/** Where answers end, said alike by the tokenizer and by what stands beside weights. */
import { isObject, type JsonObject } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import type { TokenizerFiles } from '../formats/tensor.ts'

/**
 * transformers' trainer aligns its configurations with the tokenizer (`align_special_tokens`), as `generate` goes by the former: a model that was
 * trained to end its answers with another token would else never stop. Tokens that were named stay beside it in generation_config.json.
 */
export function endingAs(tokenizer: TokenizerFiles | undefined, config: JsonObject, generation: JsonObject | undefined) {
  const id = tokenizer && endOf(tokenizer)
  const [named, generating] = [config.eos_token_id, generation?.eos_token_id].map((ids) => [ids ?? []].flat())
  if (id === undefined || (named!.includes(id) && (generation === undefined || generating!.includes(id)))) return { config: {}, generation }
  const before = (ids: readonly unknown[]) => [id, ...ids.filter((other) => other !== id)]
  return {
    config: { eos_token_id: Array.isArray(config.eos_token_id) ? before(named!) : id },
    generation: generation && withKeys(generation, { eos_token_id: before(generating!) }),
  }
}

/** id of the tokenizer's end of text; undefined: it names none */
function endOf({ tokenizerConfig, tokenizerJson }: TokenizerFiles): number | undefined {
  const { eos_token: token } = tokenizerConfig
  const text = isObject(token) ? token.content : token
  if (typeof text !== 'string') return undefined
  const { added_tokens: added, model } = tokenizerJson
  const one = Array.isArray(added) ? added.find((each) => isObject(each) && each.content === text) : undefined
  const id = isObject(one) ? one.id : isObject(model) && isObject(model.vocab) ? model.vocab[text] : undefined
  return typeof id === 'number' ? id : undefined
}
