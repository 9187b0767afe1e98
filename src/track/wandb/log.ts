/**
 * A .wandb file: LevelDB's log format behind a header of its own. Records lie in blocks of 32 KiB; one that doesn't fit is cut into parts.
 * Whatever was written before a process died can be read.
 */
import { crc32 } from 'node:zlib'

const BLOCK = 32768
const PART_HEADER = 7
const FULL = 1
const FIRST = 2
const MIDDLE = 3
const LAST = 4

/** `:W&B`, a magic number, version 0 */
export const HEADER = Uint8Array.of(0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0)

/** A record as it is written where the file has `at` bytes. */
export function framed(record: Uint8Array, at: number): Uint8Array {
  const parts: Uint8Array[] = []
  let begun = false
  do {
    const room = BLOCK - (at % BLOCK)
    if (room < PART_HEADER) {
      parts.push(new Uint8Array(room))
      at += room
      continue
    }
    const content = record.subarray(0, room - PART_HEADER)
    record = record.subarray(content.length)
    const kind = record.length === 0 ? (begun ? LAST : FULL) : begun ? MIDDLE : FIRST
    parts.push(part(kind, content))
    at += PART_HEADER + content.length
    begun = true
  } while (record.length > 0 || !begun)
  return Buffer.concat(parts)
}

/** checksum of kind and content, length, kind, content */
function part(kind: number, content: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(PART_HEADER + content.length)
  bytes.writeUInt32LE(checksum(kind, content), 0)
  bytes.writeUInt16LE(content.length, 4)
  bytes.writeUInt8(kind, 6)
  bytes.set(content, PART_HEADER)
  return bytes
}

const checksum = (kind: number, content: Uint8Array) => crc32(Buffer.concat([Uint8Array.of(kind), content]))

export interface LoggedRecord {
  content: Uint8Array
  /** where it begins and ends in the file */
  from: number
  to: number
}

/** The records of a file up to its end, or to the first that is damaged; null: it is no such file. */
export function recordsOf(file: Uint8Array): LoggedRecord[] | null {
  if (Buffer.compare(file.subarray(0, HEADER.length), HEADER) !== 0) return null
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  const records: LoggedRecord[] = []
  let parts: Uint8Array[] = []
  let from = HEADER.length
  for (let at = HEADER.length; at + PART_HEADER <= bytes.length; ) {
    const room = BLOCK - (at % BLOCK)
    if (room < PART_HEADER) {
      at += room
      continue
    }
    const kind = bytes.readUInt8(at + 6)
    const content = bytes.subarray(at + PART_HEADER, at + PART_HEADER + bytes.readUInt16LE(at + 4))
    const begins = kind === FULL || kind === FIRST
    const whole = content.length === bytes.readUInt16LE(at + 4) && bytes.readUInt32LE(at) === checksum(kind, content)
    if (!whole || kind < FULL || kind > LAST || begins !== (parts.length === 0)) break
    if (begins) from = at
    parts.push(content)
    at += PART_HEADER + content.length
    if (kind === MIDDLE || kind === FIRST) continue
    records.push({ content: Buffer.concat(parts), from, to: at })
    parts = []
  }
  return records
}
