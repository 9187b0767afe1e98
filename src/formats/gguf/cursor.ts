/** Reads a file from front to back through a small window: GGUF does not say how long its header is. */
import { SaqrError } from '../../error.ts'

export interface Bytes {
  size: number
  /** exactly `length` bytes; only asked for what lies inside `size` */
  read(offset: number, length: number): Uint8Array
}

const windowBytes = 1 << 20

export class Cursor {
  readonly path: string
  readonly #file: Bytes
  #window: Uint8Array = new Uint8Array(0)
  #view: DataView = new DataView(this.#window.buffer)
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
      this.#window = this.#file.read(this.#start, Math.min(Math.max(count, windowBytes), this.#file.size - this.#start))
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
    const value = this.#view.getBigUint64(from, true)
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
  }

  i64(): number | bigint {
    const from = this.#take(8)
    const value = this.#view.getBigInt64(from, true)
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }

  bytes(count: number): Uint8Array {
    const from = this.#take(count)
    return this.#window.subarray(from, from + count)
  }
}
