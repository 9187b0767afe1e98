/** Rows that are token ids already: what is learned of them, and what of them is the row. */
import { option, say } from '../error.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { bad } from './cells.ts'
import type { Row } from './rows.ts'
import type { TokenizeOptions, Tokens } from './tokenize.ts'

/** Targets by `labels` (−100: none), or by every mask there is. @throws SaqrError DATA_ROW */
export function tokenRow(row: Row, where: string, tokenizer: Tokenizer, { completionOnlyLoss }: TokenizeOptions): Tokens {
  const numbers = (column: string) => {
    const value = row[column]
    if (value === undefined || value === null) return undefined
    if (!Array.isArray(value)) throw bad(where, `${column} must be a list of integers`)
    // masks of Parquet are truths
    const list = typeof value[0] === 'boolean' ? value.map((one) => (typeof one === 'boolean' ? Number(one) : one)) : value
    if (!list.every(Number.isInteger)) throw bad(where, `${column} must be a list of integers`)
    return list as number[]
  }
  const ids = numbers('input_ids') ?? []
  const asLong = (column: string) => {
    const list = numbers(column)
    if (list && list.length !== ids.length) throw bad(where, `${column} is not as long as input_ids`)
    return list
  }
  const unknown = ids.find((id) => tokenizer.tokenOf(id) === undefined)
  if (unknown !== undefined) throw bad(where, `input_ids holds ${unknown}, which is no token of this tokenizer`)
  const labels = asLong('labels')
  const masks = [completionOnlyLoss ? asLong('completion_mask') : undefined, asLong('assistant_masks')]
  const other = labels?.findIndex((label, i) => label !== -100 && label !== ids[i]) ?? -1
  if (other !== -1)
    throw bad(
      where,
      `labels[${other}] is ${labels![other]} where input_ids has ${ids[other]}: a label is the token that stands in its own place, or -100 (next tokens are found when training)`,
    )
  const targets = new Uint8Array(ids.length).fill(1)
  // in loops of their own: corpora come as ids, and asking every list of every id took a fifth of their preparation
  const clear = (list: readonly number[], none: number) => {
    for (let i = 0; i < ids.length; i++) if (list[i] === none) targets[i] = 0
  }
  if (labels) clear(labels, -100)
  else for (const mask of masks) if (mask) clear(mask, 0)
  const [from, to] = seen(asLong('attention_mask'), ids.length, where)
  requireOne(asLong('position_ids')?.slice(from, to), numbers('seq_lengths'), where)
  if (to - from === ids.length) return { ids, targets }
  return { ids: ids.slice(from, to), targets: targets.slice(from, to), notes: [PADDED] }
}

const PADDED =
  'attention_mask is 0 at an end of the row: what stands there is padding, and is left out. TRL reads no attention_mask, and keeps it'

/** what an attention mask, of ones with padding before and behind, shows of so many tokens */
function seen(mask: readonly number[] | undefined, length: number, where: string): [from: number, to: number] {
  let ones = 0
  while (mask && mask[ones] === 1) ones++
  if (!mask || ones === length) return [0, length]
  const from = mask.findIndex((one) => one !== 0)
  if (from === -1) return [0, 0]
  const to = mask.lastIndexOf(1) + 1
  const hole = mask.findIndex((one, i) => i > from && i < to && one !== 1)
  if (mask[from] !== 1 || hole !== -1) {
    const at = hole === -1 ? from : hole
    throw bad(where, `attention_mask[${at}] is ${mask[at]}: a row is seen whole, so it holds 1, and 0 for padding before and behind`)
  }
  return [from, to]
}

/** Several rows in one would see each other. */
function requireOne(positions: readonly number[] | undefined, lengths: readonly number[] | undefined, where: string): void {
  const jump = positions?.findIndex((position, i) => position !== positions[0]! + i) ?? -1
  const why =
    jump !== -1
      ? `position_ids has ${positions![jump]} behind ${positions![jump - 1]}`
      : lengths && lengths.length > 1
        ? `seq_lengths has ${lengths.length} lengths`
        : null
  if (why)
    throw bad(
      where,
      say`${why}: the row is several rows in one, which would see each other here. Give each by itself; ${option('packing')} true lays them together`,
    )
}
