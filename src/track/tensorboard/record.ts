/** TFRecord: a record with its length, each with a checksum. */

/** length (uint64), its checksum, the record, its checksum; all little-endian */
export function tfRecord(content: Uint8Array): Uint8Array {
  const record = Buffer.alloc(12 + content.length + 4)
  record.writeBigUInt64LE(BigInt(content.length))
  record.writeUInt32LE(masked(crc32c(record.subarray(0, 8))), 8)
  record.set(content, 12)
  record.writeUInt32LE(masked(crc32c(content)), 12 + content.length)
  return record
}

/** A checksum of data that holds checksums would be weak: TFRecord turns it by 15 bits and adds a constant. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

/** remainders of bytes by Castagnoli's polynomial, bits reversed */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  return crc
})

export function crc32c(content: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of content) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255]!
  return ~crc >>> 0
}
