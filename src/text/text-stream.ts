/**
 * Detokenises a growing row of ids. A token may end in the middle of a character, and a decoder may write a token differently at the
 * beginning of a text; so a piece is the difference of two decodings that begin at the same token, and is held back while it ends in an
 * incomplete character.
 */

const replacement = '\uFFFD'

export class TextStream {
  readonly #decode: (ids: readonly number[]) => string
  /** tokens decoded together; those before `#told` have been given out */
  #window: number[] = []
  #told = 0
  #toldText = ''

  constructor(decode: (ids: readonly number[]) => string) {
    this.#decode = decode
  }

  /** The text that this token completes; empty while a character is incomplete. */
  push(id: number): string {
    this.#window.push(id)
    const text = this.#decode(this.#window)
    if (text.endsWith(replacement)) return ''
    const piece = text.slice(this.#toldText.length)
    this.#window = this.#window.slice(this.#told)
    this.#told = this.#window.length
    this.#toldText = this.#decode(this.#window)
    return piece
  }

  /** What is left at the end: an incomplete character as U+FFFD. */
  end(): string {
    const piece = this.#decode(this.#window).slice(this.#toldText.length)
    this.#window = []
    this.#told = 0
    this.#toldText = ''
    return piece
  }
}
