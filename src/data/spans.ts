/**
 * Where the records of a file lie, one behind the other: two or three bytes a record, however large the file, instead of numbers of eight bytes. How long a
 * record is and, where that is another than before, how far it begins behind the one before it and how many lines lie between are written as numbers of seven bits a byte.
 */
import { Growing } from './records.ts'

/** records from one that is known by itself to the next */
const APART = 64
const CHUNK = 1 << 18
/** bytes of a record at the most: three numbers up to 2^53 */
const MOST = 24

interface Place {
  i: number
  from: number
  to: number
  number: number
  /** how far behind the one before it it began */
  gap: number
  /** of the record behind it: chunk · CHUNK + byte */
  next: number
}

const BEGIN: Place = { i: -1, from: 0, to: 0, number: 0, gap: 0, next: 0 }

export class Spans {
  readonly #chunks: Uint8Array[] = []
  /** of records 0, APART, 2·APART …: where the one before ends, its number and gap, where it is written */
  readonly #ends = new Growing()
  readonly #gaps = new Growing()
  readonly #numbers = new Growing()
  readonly #starts = new Growing()
  /** the last one added, and the last one asked for */
  #last: Place = BEGIN
  #found: Place = BEGIN

  get length(): number {
    return this.#last.i + 1
  }

  /**
   * @param from not before the end of the record before it
   * @param number what it is called by, more than that of the one before; default: one more
   */
  add(from: number, to: number, number = this.#last.number + 1): void {
    const last = this.#last
    let at = last.next
    if (at === 0 || (at % CHUNK) + MOST >= CHUNK) {
      at = CHUNK * this.#chunks.length
      this.#chunks.push(new Uint8Array(CHUNK))
    }
    if ((last.i + 1) % APART === 0) {
      this.#ends.push(last.to)
      this.#gaps.push(last.gap)
      this.#numbers.push(last.number)
      this.#starts.push(at)
    }
    const gap = from - last.to
    const more = number - last.number - 1
    const asBefore = gap === last.gap && more === 0
    at = this.#write(at, 2 * (to - from) + (asBefore ? 0 : 1))
    if (!asBefore) at = this.#write(this.#write(at, gap), more)
    this.#last = { i: last.i + 1, from, to, number, gap, next: at }
  }

  /** of record `i` the first byte, and the one behind its last */
  at(i: number): readonly [from: number, to: number] {
    const { from, to } = this.#find(i)
    return [from, to]
  }

  numberOf(i: number): number {
    return this.#find(i).number
  }

  #find(i: number): Place {
    let place = this.#found
    if (place.i === i) return place
    if (i < place.i || i - place.i > APART) {
      const known = Math.floor(i / APART)
      place = {
        i: known * APART - 1,
        from: 0,
        to: this.#ends.at(known),
        number: this.#numbers.at(known),
        gap: this.#gaps.at(known),
        next: this.#starts.at(known),
      }
    }
    while (place.i < i) place = this.#behind(place)
    this.#found = place
    return place
  }

  #behind({ i, to: end, number, gap: before, next }: Place): Place {
    // a record is in one chunk
    const begin = (next % CHUNK) + MOST >= CHUNK ? Math.ceil(next / CHUNK) * CHUNK : next
    const bytes = this.#chunks[Math.floor(begin / CHUNK)]!
    let at = begin % CHUNK
    const read = (): number => {
      let value = 0
      for (let scale = 1; ; scale *= 128) {
        const byte = bytes[at++]!
        value += (byte & 127) * scale
        if (byte < 128) return value
      }
    }
    const first = read()
    const asBefore = first % 2 === 0
    const gap = asBefore ? before : read()
    const more = asBefore ? 0 : read()
    const from = end + gap
    const to = from + Math.floor(first / 2)
    return { i: i + 1, from, to, number: number + 1 + more, gap, next: begin - (begin % CHUNK) + at }
  }

  #write(at: number, value: number): number {
    const bytes = this.#chunks.at(-1)!
    let place = at
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[place++ % CHUNK] = 128 + (rest % 128)
    bytes[place++ % CHUNK] = rest
    return place
  }
}
