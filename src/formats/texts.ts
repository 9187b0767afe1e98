/**
 * Many short texts as the bytes that a file has them in, each cut out where it is asked for: of a vocabulary's hundreds of thousands all are hashed
 * and compared before a model's first token, and few are ever read as strings.
 */
import { SaqrError } from '../error.ts'

const HALF = /\p{Surrogate}/u

export const notUnicode = (what: string) =>
  new SaqrError('TEXT_NOT_UNICODE', `${what} holds half of a surrogate pair, which is no character. Repair or remove it.`)

export class Texts {
  /** of all texts, UTF-8, with `gap` bytes of something else between two */
  readonly bytes: Uint8Array
  readonly gap: number
  /** where each begins in `bytes`; behind the last, where another would */
  readonly starts: Uint32Array
  // the same bytes, read as text; unnamed in the declarations, which programs without Node's types compile against
  readonly #utf8: Buffer

  constructor(bytes: Uint8Array, starts: Uint32Array, gap: number) {
    this.bytes = bytes
    this.starts = starts
    this.gap = gap
    this.#utf8 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /**
   * @param refused says what holds half of a surrogate pair, which is no text
   * @throws SaqrError that
   */
  static of(list: readonly string[], refused = (i: number): SaqrError => notUnicode(`text ${i}`)): Texts {
    const all = list.join('\0')
    const bytes = Buffer.from(all)
    // half of a pair has become U+FFFD; only then is a second look needed
    if (bytes.includes('\ufffd') && HALF.test(all)) throw refused(list.findIndex((text) => HALF.test(text)))
    const starts = new Uint32Array(list.length + 1)
    let at = 0
    for (let i = 0; i < list.length; i++) {
      // of UTF-16: two where a character has four bytes
      for (let units = list[i]!.length; units > 0; units--) {
        const first = bytes[at]!
        at += first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
        if (first >= 0xf0) units--
      }
      starts[i + 1] = ++at
    }
    return new Texts(bytes, starts, 1)
  }

  /** those at these places one behind the other, and the bytes that each has */
  together(places: Int32Array): { bytes: Uint8Array; lengths: Uint32Array } {
    const lengths = new Uint32Array(places.length)
    let size = 0
    for (let i = 0; i < lengths.length; i++) size += lengths[i] = this.end(places[i]!) - this.starts[places[i]!]!
    const bytes = new Uint8Array(size)
    let to = 0
    for (let i = 0; i < lengths.length; i++)
      for (let from = this.starts[places[i]!]!, end = from + lengths[i]!; from < end; ) bytes[to++] = this.bytes[from++]!
    return { bytes, lengths }
  }

  get length(): number {
    return this.starts.length - 1
  }

  /** where a text ends in `bytes` */
  end(i: number): number {
    return this.starts[i + 1]! - this.gap
  }

  at(i: number): string {
    return this.#utf8.toString('utf8', this.starts[i], this.end(i))
  }

  toArray(): string[] {
    return Array.from({ length: this.length }, (_, i) => this.at(i))
  }
}
