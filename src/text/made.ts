/** What a tokenizer's files are made into, anew where tokens are added. */
import { SaqrError } from '../error.ts'
import { tablesOf } from '../formats/bpe-model.ts'
import { decoderOf } from './decoder.ts'
import { type Definition, define, type TokenizerFiles, type TokenizerJson } from './definition.ts'
import { Encoder } from './encoder.ts'

/** What is made of a tokenizer's files. */
export interface Made {
  files: TokenizerFiles
  definition: Definition
  encoder: Encoder
  decode: (tokens: string[]) => string
  skipped: ReadonlySet<number>
  size: number
  idLimit: number
}

/** @throws SaqrError TEXT_TOKENIZER_… */
export function make(files: TokenizerFiles, modelType: string | undefined): Made {
  try {
    const definition = define(files, modelType)
    const { json } = definition
    const { count: size, limit: idLimit } = counted(json)
    const skipped = new Set(json.added_tokens.filter((t) => t.special).map((t) => t.id))
    return { files, definition, encoder: new Encoder(json), decode: decoderOf(json), skipped, size, idLimit }
  } catch (cause) {
    if (cause instanceof SaqrError) throw cause
    throw new SaqrError('TEXT_TOKENIZER_INVALID', `tokenizer.json can't be used: ${(cause as Error).message}.`, { cause })
  }
}

/** How many ids there are, and one more than the highest. */
function counted({ model, added_tokens: added }: TokenizerJson): { count: number; limit: number } {
  const more = new Set(added.map((t) => t.id))
  const { vocabulary } = tablesOf(model)
  let { limit } = vocabulary
  for (const id of more) limit = Math.max(limit, id + 1)
  for (const id of more) if (vocabulary.has(id)) more.delete(id)
  return { count: vocabulary.ids.length + more.size, limit }
}
