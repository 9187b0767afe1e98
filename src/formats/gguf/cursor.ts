/** Reads a file from front to back through a small window: GGUF does not say how long its header is. */
import { isUtf8 } from 'node:buffer'
import { SaqrError } from '../../error.ts'
import { decodeUtf8, notUtf8 } from '../json.ts'
import { Texts } from '../texts.ts'

export interface Bytes {
  size: number
  /** exactly `length` bytes; only asked for what lies inside `size` */
  read(offset: number, length: number): Uint8Array
}

/** bytes of a length */
const LENGTH = 8
const windowBytes = 1 << 20

type Getter = 'getUint8' | 'getInt8' | 'getUint16' | 'getInt16' | 'getUint32' | 'getInt32' | 'getFloat32' | 'getFloat64'

/** of no more bits than a number has */
export type NumberKind = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'f64'

type List = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array

/** of the order of bytes that every processor here has, and files too */
const NUMBERS: Readonly<Record<NumberKind, readonly [width: number, get: Getter, List: new (bytes: ArrayBuffer) => List]>> = {
  u8: [1, 'getUint8', Uint8Array],
  i8: [1, 'getInt8', Int8Array],
  u16: [2, 'getUint16', Uint16Array],
  i16: [2, 'getInt16', Int16Array],
  u32: [4, 'getUint32', Uint32Array],
  i32: [4, 'getInt32', Int32Array],
  f32: [4, 'getFloat32', Float32Array],
  f64: [8, 'getFloat64', Float64Array],
}

export const isNumberKind = (kind: string): kind is NumberKind => Object.hasOwn(NUMBERS, kind)

export class Cursor {
  readonly path: string
  readonly #file: Bytes
  #window: Buffer = Buffer.alloc(0)
  #view: DataView = new DataView(this.#window.buffer, this.#window.byteOffset, 0)
  /** file offset of the window's first byte */
  #start = 0
  /** next byte, from the window's start */
  #at = 0

  constructor(file: Bytes, path: string) {
    this.#file = file
    this.path = path
  }

  get offset(): number {
    return this.#start + this.#at
  }

  get left(): number {
    return this.#file.size - this.offset
  }

  /** Makes `count` bytes available and steps over them; returns their place in the window. */
  #take(count: number): number {
    if (count > this.left)
      throw new SaqrError(
        'FORMAT_GGUF',
        `${this.path} is cut short: ${count} bytes are needed at byte ${this.offset}, ${this.left} are left. Fetch it again.`,
      )
    if (this.#at + count > this.#window.length) {
      this.#start = this.offset
      this.#at = 0
      const read = this.#file.read(this.#start, Math.min(Math.max(count, windowBytes), this.#file.size - this.#start))
      this.#window = Buffer.from(read.buffer, read.byteOffset, read.length)
      this.#view = new DataView(this.#window.buffer, this.#window.byteOffset, this.#window.length)
    }
    const from = this.#at
    this.#at += count
    return from
  }

  u8 = () => this.#number('u8')
  i8 = () => this.#number('i8')
  u16 = () => this.#number('u16')
  i16 = () => this.#number('i16')
  u32 = () => this.#number('u32')
  i32 = () => this.#number('i32')
  f32 = () => this.#number('f32')
  f64 = () => this.#number('f64')

  #number(kind: NumberKind): number {
    const [width, get] = NUMBERS[kind]
    const from = this.#take(width)
    return this.#view[get](from, true)
  }

  /** All at once: a vocabulary has a type a token, and they are read before all else. */
  numbers(kind: NumberKind, count: number): number[] {
    const [width, , List] = NUMBERS[kind]
    const from = this.#take(count * width)
    return Array.from(new List(Uint8Array.from(this.#window.subarray(from, from + count * width)).buffer))
  }

  /** a bigint where a number would not be exact */
  u64(): number | bigint {
    const from = this.#take(8)
    const high = this.#view.getUint32(from + 4, true)
    if (high < 2 ** 21) return high * 2 ** 32 + this.#view.getUint32(from, true) // a length stands before every word of a vocabulary
    return this.#view.getBigUint64(from, true)
  }

  i64(): number | bigint {
    const from = this.#take(8)
    const value = this.#view.getBigInt64(from, true)
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }

  /** Strict UTF-8; `where` names it in the error. */
  text(count: number, where: () => string): string {
    const from = this.#take(count)
    const text = this.#window.toString('utf8', from, from + count)
    // what can't be decoded has become U+FFFD; only then is a second look needed
    return text.includes('\ufffd') ? decodeUtf8(this.#window.subarray(from, from + count), `${this.path}: ${where()}`) : text
  }

  /**
   * Texts, of which none is decoded by itself: each has its length before it, in 8 bytes. Strict UTF-8; `where` names them in the error.
   * @param length reads a length
   */
  texts(count: number, length: () => number, where: () => string): Texts {
    const begin = this.offset
    const starts = new Uint32Array(count + 1)
    /** of what is text when lengths are taken for it: less than 128 is a character of ASCII and seven zeros, which nothing is cut by */
    const parts = [0]
    for (let i = 0; i < count; ) {
      i += this.#shortTexts(starts.subarray(i, count), begin)
      if (i === count) break
      const bytes = length()
      if (bytes >= 128) parts.push(this.offset - begin - LENGTH, this.offset - begin)
      starts[i++] = this.offset - begin
      this.#take(bytes)
    }
    const end = this.offset
    starts[count] = end - begin + LENGTH
    const read = this.#file.read(begin, end - begin)
    const all = Buffer.from(read.buffer, read.byteOffset, read.length)
    parts.push(all.length)
    for (let i = 0; i < parts.length; i += 2) if (!isUtf8(all.subarray(parts[i], parts[i + 1]))) throw notUtf8(`${this.path}: ${where()}`)
    return new Texts(all, starts, LENGTH)
  }

  /**
   * Steps over texts of less than 128 bytes that lie whole in the window, without a call for each: most of a vocabulary, which is read before all else.
   * @param starts where each begins behind `begin`
   * @returns how many
   */
  #shortTexts(starts: Uint32Array, begin: number): number {
    const window = this.#window
    const before = this.#start - begin
    let at = this.#at
    let i = 0
    for (; i < starts.length && at + LENGTH <= window.length; i++) {
      const bytes = window[at]!
      const more =
        window[at + 1]! | window[at + 2]! | window[at + 3]! | window[at + 4]! | window[at + 5]! | window[at + 6]! | window[at + 7]!
      const end = at + LENGTH + bytes
      if (bytes >= 128 || more !== 0 || end > window.length) break
      starts[i] = before + at + LENGTH
      at = end
    }
    this.#at = at
    return i
  }

  bytes(count: number): Uint8Array {
    const from = this.#take(count)
    return this.#window.subarray(from, from + count)
  }
}
