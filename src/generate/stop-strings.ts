/** Ends a text before the first of some strings, wherever tokens end: what may be the beginning of one is held back until it is known. */
import type { Tokenizer } from '../text/tokenizer.ts'

export class StopStrings {
  readonly #strings: readonly string[]
  /** text that has not been given out */
  #held = ''

  constructor(strings: readonly string[]) {
    this.#strings = strings
  }

  /** Text that may be given out now, and whether a string was met: then nothing comes any more. */
  push(piece: string): { text: string; stopped: boolean } {
    this.#held += piece
    const found = this.#strings.map((s) => this.#held.indexOf(s)).filter((at) => at >= 0)
    const stopped = found.length > 0
    const end = stopped ? Math.min(...found) : this.#held.length - this.#pending()
    const text = this.#held.slice(0, end)
    this.#held = stopped ? '' : this.#held.slice(end)
    return { text, stopped }
  }

  /** what was held back, where the text ends otherwise */
  end(): string {
    const text = this.#held
    this.#held = ''
    return text
  }

  /** length of the longest end of the text that one of the strings begins with */
  #pending(): number {
    let longest = 0
    for (const s of this.#strings)
      for (let n = Math.min(s.length - 1, this.#held.length); n > longest; n--) if (this.#held.endsWith(s.slice(0, n))) longest = n
    return longest
  }
}

/** Special tokens are no text of an answer, so one that is given as a stop string ends it as the token that it is. */
export function stopsAsTokens(tokenizer: Tokenizer, strings: readonly string[]): number[] {
  if (strings.length === 0) return []
  return tokenizer.addedTokens.filter(({ special, content }) => special && strings.includes(content)).map(({ id }) => id)
}
