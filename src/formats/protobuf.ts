/** Protocol Buffers' wire format: a message is its fields one after the other; what is left out has its default. */

/** A field as it lies in a message. */
export type ProtoField = Uint8Array

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

export function message(...fields: readonly (ProtoField | null)[]): Uint8Array {
  return Buffer.concat(fields.filter((field) => field !== null))
}

/** int32, int64, uint64, bool and enum; @param value a whole number of at least 0 */
export function int(field: number, value: number): ProtoField {
  return Uint8Array.from([...tag(field, VARINT), ...varint(value)])
}

export function double(field: number, value: number): ProtoField {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return Buffer.concat([tag(field, FIXED64), bytes])
}

export function float(field: number, value: number): ProtoField {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return Buffer.concat([tag(field, FIXED32), bytes])
}

/** string, bytes and messages */
export function bytes(field: number, value: string | Uint8Array): ProtoField {
  const content = typeof value === 'string' ? Buffer.from(value) : value
  return Buffer.concat([tag(field, BYTES), varint(content.length), content])
}

/** The fields of a message in their order; undefined where it is none. */
export function fieldsOf(content: Uint8Array): { field: number; value: number | Uint8Array }[] | undefined {
  const found: { field: number; value: number | Uint8Array }[] = []
  let at = 0
  const number = (): number => {
    let value = 0
    for (let scale = 1; at < content.length; scale *= 128) {
      const byte = content[at++]!
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
    return Number.NaN
  }
  while (at < content.length) {
    const key = number()
    const wire = key % 8
    const field = Math.floor(key / 8)
    if (wire === VARINT) found.push({ field, value: number() })
    else {
      const length = wire === BYTES ? number() : wire === FIXED64 ? 8 : wire === FIXED32 ? 4 : Number.NaN
      if (!(at + length <= content.length)) return undefined
      found.push({ field, value: content.subarray(at, at + length) })
      at += length
    }
  }
  return found.some(({ value }) => Number.isNaN(value)) ? undefined : found
}

const tag = (field: number, wire: number) => varint(field * 8 + wire)

function varint(value: number): Uint8Array {
  const digits: number[] = []
  for (; value >= 128; value = Math.floor(value / 128)) digits.push((value % 128) + 128)
  return Uint8Array.from([...digits, value])
}
