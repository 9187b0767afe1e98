/**
 * Many short texts as one run of UTF-16 units, each cut out where it is asked for: of a vocabulary's hundreds of thousands all are hashed and
 * compared before a model's first token, and few are ever read as strings.
 */
export class Texts {
  /** of all texts, one behind the other */
  readonly units: Uint16Array
  /** where each begins in `units`; behind the last, where it ends */
  readonly starts: Uint32Array

  constructor(units: Uint16Array, starts: Uint32Array) {
    this.units = units
    this.starts = starts
  }

  static of(list: readonly string[]): Texts {
    const starts = new Uint32Array(list.length + 1)
    for (let i = 0; i < list.length; i++) starts[i + 1] = starts[i]! + list[i]!.length
    return new Texts(unitsOf(list.join('')), starts)
  }

  get length(): number {
    return this.starts.length - 1
  }

  at(i: number): string {
    return stringOf(this.units.subarray(this.starts[i], this.starts[i + 1]))
  }

  is(i: number, text: string): boolean {
    const from = this.starts[i]!
    if (this.starts[i + 1]! - from !== text.length) return false
    for (let j = 0; j < text.length; j++) if (this.units[from + j] !== text.charCodeAt(j)) return false
    return true
  }

  toArray(): string[] {
    const all = stringOf(this.units)
    return Array.from({ length: this.length }, (_, i) => all.slice(this.starts[i], this.starts[i + 1]))
  }
}

export function unitsOf(text: string): Uint16Array {
  const bytes = Buffer.from(text, 'utf16le')
  // small buffers are parts of a pool, anywhere in it
  return bytes.byteOffset % 2 === 0
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, text.length)
    : new Uint16Array(Uint8Array.from(bytes).buffer)
}

const stringOf = (units: Uint16Array) => Buffer.from(units.buffer, units.byteOffset, units.byteLength).toString('utf16le')
