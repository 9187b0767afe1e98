/** An example as people read it: each token as the piece of text that it adds. */
import type { Tokenizer } from '../text/tokenizer.ts'
import type { Example } from './example.ts'

export interface Piece {
  id: number
  /** what the token adds to the text; a character of several tokens stands with its last one */
  text: string
  /** is it learned? */
  target: boolean
}

export function piecesOf({ ids, targets }: Example, tokenizer: Tokenizer): Piece[] {
  const stream = tokenizer.stream()
  const pieces = Array.from(ids, (id, i): Piece => ({ id, text: stream.push(id), target: i > 0 && targets[i] === 1 }))
  const rest = stream.end()
  if (rest !== '') pieces.at(-1)!.text += rest
  return pieces
}

/** Sequence `i` of an example that has several, as an example of its own. */
export function sequenceOf({ ids, targets, starts = Int32Array.of(0), ...rest }: Example, i: number): Example {
  const [from, to] = [starts[i]!, starts[i + 1] ?? ids.length]
  return { row: rest.row, source: rest.source, ids: ids.subarray(from, to), targets: targets.subarray(from, to) }
}
