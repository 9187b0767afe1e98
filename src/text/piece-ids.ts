/**
 * Pieces of text, as a byte-level tokenizer splits them, to ids. The same words come again and again: of a set of rows nearly every piece
 * has been seen before, and looking it up is cheap beside spelling and merging it anew.
 */
import { spelledBytes } from './decoder.ts'

/** pieces that are kept, and characters of the longest one */
const KEPT = 1 << 16
const LONGEST = 48

export class PieceIds {
  readonly #prefixed: boolean
  readonly #encode: (spelled: string) => readonly number[]
  #known = new Map<string, readonly number[]>()

  /**
   * @param prefixed a space is put before every piece that begins with none
   * @param encode ids of one piece, spelled in GPT-2's alphabet
   */
  constructor(prefixed: boolean, encode: (spelled: string) => readonly number[]) {
    this.#prefixed = prefixed
    this.#encode = encode
  }

  encode(pieces: readonly string[]): number[] {
    const ids: number[] = []
    for (const piece of pieces) for (const id of this.#known.get(piece) ?? this.#anew(piece)) ids.push(id)
    return ids
  }

  #anew(piece: string): readonly number[] {
    const ids = this.#encode(spelledBytes(this.#prefixed && !piece.startsWith(' ') ? ` ${piece}` : piece))
    if (piece.length > LONGEST) return ids
    if (this.#known.size === KEPT) this.#known = new Map()
    this.#known.set(alone(piece), ids)
    return ids
  }
}

/** A piece cut out of a text holds the whole text in memory. */
const alone = (piece: string) => Buffer.from(piece, 'utf16le').toString('utf16le')
