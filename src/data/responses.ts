/**
 * What Unsloth's `train_on_responses_only` learns (as of its 2026.10): the tokens behind each response part, up to the next instruction part, the
 * end of the turn (its EOS is learned), another response part, a token that begins a text, or what begins a turn of any role, as far as both parts
 * begin with the same special tokens. Parts are found as token ids: as they are tokenised standing alone.
 */
import { option, SaqrError, say } from '../error.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

export interface ResponseParts {
  /** what stands before a user's text: `<|im_start|>user\n` */
  instructionPart: string
  /** what stands before an answer: `<|im_start|>assistant\n` */
  responsePart: string
}

/** (n) 1 where a token of these is part of a response */
export type InResponse = (ids: ArrayLike<number>) => Uint8Array

/** @throws SaqrError OPTION_INVALID for a part without a token, or two that are the same */
export function responsesOf(tokenizer: Tokenizer, { instructionPart, responsePart }: ResponseParts): InResponse {
  const instruction = tokenised(tokenizer, instructionPart, 'instructionPart')
  const response = tokenised(tokenizer, responsePart, 'responsePart')
  if (instruction.join() === response.join())
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('instructionPart')} and ${option('responsePart')} are the same, so no turn could be told from another`,
    )
  const turn = beginningOfTurn(tokenizer, instruction, response)
  const { bosId, eosId } = tokenizer
  const begins = (ids: ArrayLike<number>, at: number) =>
    ids[at] === bosId || (turn.length > 0 && standsAt(turn, ids, at)) || standsAt(response, ids, at)

  return (ids) => {
    const learned = new Uint8Array(ids.length)
    let at = 0
    while (at < ids.length) {
      if (!standsAt(response, ids, at)) {
        at++
        continue
      }
      const from = at + response.length
      let to = from
      while (to < ids.length && ids[to] !== eosId && !begins(ids, to) && !standsAt(instruction, ids, to)) to++
      const asks = to < ids.length && ids[to] !== eosId && !begins(ids, to)
      if (to < ids.length && ids[to] === eosId) to++
      learned.fill(1, from, to)
      at = asks ? to + instruction.length : to
    }
    return learned
  }
}

function tokenised(tokenizer: Tokenizer, part: string, name: string): number[] {
  const ids = tokenizer.encode(part, { addSpecialTokens: false })
  if (ids.length > 0) return ids
  throw new SaqrError('OPTION_INVALID', say`${option(name)} ${JSON.stringify(part)} has no token, so it can't be found in rows`)
}

const standsAt = (part: readonly number[], ids: ArrayLike<number>, at: number) => part.every((id, i) => ids[at + i] === id)

/** What both parts begin with, where it is special tokens: other text may stand in an answer too. */
function beginningOfTurn(tokenizer: Tokenizer, instruction: readonly number[], response: readonly number[]): number[] {
  let length = 0
  while (length < instruction.length && instruction[length] === response[length]) length++
  const shared = instruction.slice(0, length)
  const written = new Map(tokenizer.addedTokens.filter(({ special }) => special).map(({ id, content }) => [id, content]))
  const special = new Set([...written.keys(), tokenizer.bosId, tokenizer.eosId, tokenizer.padId, tokenizer.unkId])
  const isMark = shared.every((id) => special.has(id)) && shared.some((id) => written.get(id)?.trim())
  return isMark ? shared : []
}
