/** Reads a file from front to back through a small window: GGUF does not say how long its header is. */
import { isUtf8 } from 'node:buffer'
import { SaqrError } from '../../error.ts'
import { decodeUtf8, notUtf8 } from '../json.ts'
import { Texts, unitsOf } from '../texts.ts'

export interface Bytes {
  size: number
  /** exactly `length` bytes; only asked for what lies inside `size` */
  read(offset: number, length: number): Uint8Array
}

const windowBytes = 1 << 20

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

  u8 = () => this.#read(1, 'getUint8')
  i8 = () => this.#read(1, 'getInt8')
  u16 = () => this.#read(2, 'getUint16')
  i16 = () => this.#read(2, 'getInt16')
  u32 = () => this.#read(4, 'getUint32')
  i32 = () => this.#read(4, 'getInt32')
  f32 = () => this.#read(4, 'getFloat32')
  f64 = () => this.#read(8, 'getFloat64')

  #read(
    width: number,
    get: 'getUint8' | 'getInt8' | 'getUint16' | 'getInt16' | 'getUint32' | 'getInt32' | 'getFloat32' | 'getFloat64',
  ): number {
    const from = this.#take(width)
    return this.#view[get](from, true)
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
   * Texts one behind the other, of which none is decoded by itself. Strict UTF-8; `where` names them in the error.
   * @param length reads how many bytes the next one has, which stands before it
   */
  texts(count: number, length: () => number, where: () => string): Texts {
    const starts = new Uint32Array(count + 1)
    let bytes = Buffer.allocUnsafe(Math.min(16 * count, this.left))
    let [size, units, apart] = [0, 0, true]
    for (let i = 0; i < count; i++) {
      const from = this.#take(length())
      const [window, end] = [this.#window, this.#at]
      if (size + end - from > bytes.length) bytes = Buffer.concat([bytes], 2 * (size + end - from))
      if (from < end && continues(window[from]!)) apart = false
      for (let at = from; at < end; at++) {
        const byte = window[at]!
        bytes[size++] = byte
        // of UTF-16: two where a character has four bytes
        if (!continues(byte)) units += byte < 0xf0 ? 1 : 2
      }
      starts[i + 1] = units
    }
    const all = bytes.subarray(0, size)
    if (!apart || !isUtf8(all)) throw notUtf8(`${this.path}: ${where()}`)
    return new Texts(unitsOf(all.toString('utf8')), starts)
  }

  bytes(count: number): Uint8Array {
    const from = this.#take(count)
    return this.#window.subarray(from, from + count)
  }
}

/** a byte of a character that is not its first */
const continues = (byte: number) => (byte & 0xc0) === 0x80
