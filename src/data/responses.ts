/**
 * What Unsloth's `train_on_responses_only` learns (as of its 2026.10): the tokens behind each response part, up to the next instruction part, the
 * end of the turn (its EOS is learned), another response part, a token that begins a text, or what begins a turn of any role, as far as both parts
 * begin with the same special tokens. Parts are found as token ids: as they are tokenised standing alone; but where white space that a part begins or
 * ends with is one token with white space beside it (an answer that begins with a line break), it is the part all the same. Unsloth doesn't find it
 * then, and learns nothing of that answer, or the question behind it.
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
  const [asks, answers] = [instruction, response].map((part) => finder(tokenizer, part))
  const begins = (ids: ArrayLike<number>, at: number) =>
    ids[at] === bosId || (turn.length > 0 && standsAt(turn, ids, at)) || answers!(ids, at)

  return (ids) => {
    const learned = new Uint8Array(ids.length)
    let at = 0
    while (at < ids.length) {
      if (!answers!(ids, at)) {
        at++
        continue
      }
      const from = at + response.length
      let to = from
      while (to < ids.length && ids[to] !== eosId && !begins(ids, to) && !asks!(ids, to)) to++
      const asked = to < ids.length && ids[to] !== eosId && !begins(ids, to)
      if (to < ids.length && ids[to] === eosId) to++
      learned.fill(1, from, to)
      at = asked ? to + instruction.length : to
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

/** Does a part stand there? Its ends, where they are white space, also within longer white space. */
function finder(tokenizer: Tokenizer, part: readonly number[]): (ids: ArrayLike<number>, at: number) => boolean {
  const last = part.length - 1
  const within = (id: number, side: 'startsWith' | 'endsWith'): ReadonlySet<number> => {
    const end = tokenizer.tokenOf(id)
    const found = new Set([id])
    // a part of white space alone stands nowhere else
    if (end === undefined || !isSpace(end) || last === 0) return found
    for (let other = 0; other < tokenizer.idLimit; other++) {
      const token = tokenizer.tokenOf(other)
      if (token !== undefined && token.length > end.length && token[side](end) && isSpace(token)) found.add(other)
    }
    return found
  }
  const [first, behind] = [within(part[0]!, 'endsWith'), within(part[last]!, 'startsWith')]
  return (ids, at) =>
    first.has(ids[at]!) && behind.has(ids[at + last]!) && part.every((id, i) => i === 0 || i === last || ids[at + i] === id)
}

/** White space as tokenizers spell it: of bytes (GPT-2), or SentencePiece's. */
const isSpace = (token: string) => /^[ĠĊĉč▁\s]+$/.test(token)

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
