/** Whether prepared rows can be trained on with this model, and which are not used. */
import type { Example } from '../data/example.ts'
import type { Prepared } from '../data/prepare.ts'
import { checkIds } from '../engine/vocabulary.ts'
import { option, SaqrError, say } from '../error.ts'
import type { Model } from '../models/family.ts'

/** @throws SaqrError DATA_TOO_LONG for a row with more tokens than the model has positions for, MODEL_VOCABULARY for one with a token that the embedding has no row for */
export function checkExample(example: Example, model: Model): void {
  checkPositions(example, model)
  checkIds(example.ids, model.vocab, `${example.source}, row ${example.row},`)
}

function checkPositions({ ids, starts, row, source }: Example, { maxPositions }: Model): void {
  if (ids.length <= maxPositions) return
  const bounds = [...(starts ?? [0]), ids.length]
  const longest = Math.max(...bounds.slice(1).map((to, i) => to - bounds[i]!))
  if (longest <= maxPositions) return
  throw new SaqrError(
    'DATA_TOO_LONG',
    say`${source}, row ${row}: ${longest} tokens, but the model knows ${maxPositions} positions (max_position_embeddings). Set ${option('maxLength')} to ${maxPositions} or less.`,
  )
}

const NAMED = 5

/** A line for a user, none where every row is used. */
export function unusedRows({ unused }: Pick<Prepared, 'unused'>): string[] {
  if (!unused.length) return []
  const more = unused.length > NAMED ? ` and ${unused.length - NAMED} more` : ''
  return [`${unused.length} rows are not used: ${unused.slice(0, NAMED).join('; ')}${more}`]
}
