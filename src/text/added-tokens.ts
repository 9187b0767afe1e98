/**
 * Added tokens in a text, as the Rust library finds them: first those that are not normalized, in the text as it is; then, in what is
 * left and normalized, the normalized ones, whose own contents are normalized too. The leftmost match counts, of those the longest.
 * `lstrip` and `rstrip` take the white space beside a match with it, `single_word` lets a match stand only between characters that are
 * part of no word; white space and words are Unicode's.
 */
import type { AddedToken } from './definition.ts'

/** A piece of a text: an added token, or text for the model. */
export interface Piece {
  token?: AddedToken
  /** normalized, where it is no token */
  text: string
  /** it stands at the very beginning of the text */
  first: boolean
  /** it stands at the beginning of what was normalized by itself */
  opens?: boolean
}

export class AddedTokens {
  readonly #plain: Finder
  readonly #normalized: Finder
  readonly #normalize: (text: string) => string

  constructor(tokens: readonly AddedToken[], normalize: ((text: string) => string) | null) {
    this.#normalize = normalize ?? ((text) => text)
    this.#plain = new Finder(tokens.filter((t) => !t.normalized).map((token) => [token.content, token]))
    this.#normalized = new Finder(tokens.filter((t) => t.normalized).map((token) => [this.#normalize(token.content), token]))
  }

  split(text: string): Piece[] {
    return this.#plain.split(text).flatMap((piece) => {
      if (piece.token) return [piece]
      const pieces = this.#normalized.split(this.#normalize(piece.text))
      return pieces.map((p, i) => ({ ...p, first: p.first && piece.first, opens: i === 0 }))
    })
  }
}

const spaceBefore = /\p{White_Space}*$/u
const spaceAfter = /^\p{White_Space}*/u
const word = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]`
const wordBefore = new RegExp(`${word}$`, 'u')
const wordAfter = new RegExp(`^${word}`, 'u')

/** Finds texts of a set, the longest at each place. */
class Finder {
  readonly #tokens: ReadonlyMap<string, AddedToken>
  /** lengths of the texts that begin with a code unit, the longest first */
  readonly #lengths = new Map<string, number[]>()
  /** one of those code units */
  readonly #begins: RegExp

  constructor(texts: readonly (readonly [string, AddedToken])[]) {
    // of two whose texts are one after normalization, the first
    this.#tokens = new Map(texts.filter(([text]) => text !== '').reverse())
    for (const text of this.#tokens.keys()) {
      const known = this.#lengths.get(text[0]!) ?? []
      this.#lengths.set(
        text[0]!,
        [...new Set([...known, text.length])].sort((a, b) => b - a),
      )
    }
    const units = [...this.#lengths.keys()].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    this.#begins = new RegExp(`[${units.join('')}]`, 'g')
  }

  split(text: string): Piece[] {
    const pieces: Piece[] = []
    /** end of the last piece */
    let done = 0
    for (let at = this.#next(text, 0); at < text.length; at = this.#next(text, at)) {
      const token = this.#at(text, at)
      if (!token) {
        at++
        continue
      }
      const end = at + token.length
      const found = this.#tokens.get(token)!
      const [start, stop] = found.single_word && !isWord(text, at, end) ? [] : bounds(text, at, end, done, found)
      // white space taken by the token before may leave nothing of this one
      if (start !== undefined && start < stop!) {
        if (done < start) pieces.push({ text: text.slice(done, start), first: done === 0 })
        pieces.push({ token: found, text: text.slice(start, stop), first: start === 0 })
        done = stop!
      }
      at = end // what was stripped behind a match may hold the next one
    }
    if (done < text.length) pieces.push({ text: text.slice(done), first: done === 0 })
    return pieces
  }

  /** The next place from `at` on where one may begin; the end of the text: none. */
  #next(text: string, at: number): number {
    this.#begins.lastIndex = at
    return this.#begins.exec(text)?.index ?? text.length
  }

  #at(text: string, at: number): string | undefined {
    for (const length of this.#lengths.get(text[at]!) ?? []) {
      const candidate = text.slice(at, at + length)
      if (this.#tokens.has(candidate)) return candidate
    }
  }
}

function bounds(text: string, at: number, end: number, done: number, { lstrip, rstrip }: AddedToken): [number, number] {
  const start = lstrip ? Math.max(at - spaceBefore.exec(text.slice(done, at))![0].length, done) : at
  return [start, rstrip ? end + spaceAfter.exec(text.slice(end))![0].length : end]
}

/** no letter, digit or the like stands beside it */
const isWord = (text: string, at: number, end: number) =>
  !wordBefore.test(text.slice(Math.max(0, at - 2), at)) && !wordAfter.test(text.slice(end, end + 2))
