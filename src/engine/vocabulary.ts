/** Token ids held against the embedding, before anything is computed with them. */
import { SaqrError } from '../error.ts'

/**
 * @param where what the ids are of
 * @throws SaqrError MODEL_VOCABULARY for an id that the embedding has no row for
 */
export function checkIds(ids: Iterable<number>, vocab: number, where: string): void {
  for (const id of ids) {
    if (Number.isInteger(id) && id >= 0 && id < vocab) continue
    throw new SaqrError(
      'MODEL_VOCABULARY',
      `${where} has the token id ${id}, but the model's embedding has ${vocab} rows (ids 0 to ${vocab - 1}): the tokenizer is another model's, or tokens were added to it and the embedding was not resized (model.resizeTokenEmbeddings)`,
    )
  }
}
