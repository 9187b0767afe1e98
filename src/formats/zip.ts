/**
 * Reads files out of a zip archive: stored or deflated, below 4 GiB, neither encrypted nor split; what else the format allows is refused by
 * name. Layout: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (its end).
 */
import { createReadStream, createWriteStream, statSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createInflateRaw } from 'node:zlib'
import { SaqrError } from '../error.ts'
import { readRange } from '../hub/files.ts'

const END = { signature: 0x06054b50, bytes: 22, comment: 0xffff }
const CENTRAL = { signature: 0x02014b50, bytes: 46 }
const LOCAL = { signature: 0x04034b50, bytes: 30 }
const STORED = 0
const DEFLATED = 8
const ENCRYPTED = 1
/** a field of 32 bits that is kept elsewhere, in zip64 */
const ELSEWHERE = 0xffffffff

export interface ZipEntry {
  /** as the archive has it: not to be trusted as a path */
  name: string
  /** bytes in the archive, and unpacked */
  packed: number
  size: number
  method: number
  /** of its local header */
  at: number
}

/** @throws SaqrError FORMAT_ZIP */
export function zipEntries(path: string): ZipEntry[] {
  const length = statSync(path).size
  const tail = view(readRange(path, Math.max(0, length - END.bytes - END.comment), Math.min(length, END.bytes + END.comment)))
  let end = tail.byteLength - END.bytes
  while (end >= 0 && tail.getUint32(end, true) !== END.signature) end--
  if (end < 0) throw broken(path, 'it has no directory')
  const [count, bytes, from] = [tail.getUint16(end + 10, true), tail.getUint32(end + 12, true), tail.getUint32(end + 16, true)]
  if (from === ELSEWHERE || count === 0xffff) throw broken(path, 'zip64 is not supported')
  if (from + bytes > length) throw broken(path, 'its directory lies outside')
  const raw = readRange(path, from, bytes)
  const directory = view(raw)
  const entries: ZipEntry[] = []
  for (let at = 0, i = 0; i < count; i++) {
    if (at + CENTRAL.bytes > bytes || directory.getUint32(at, true) !== CENTRAL.signature) throw broken(path, 'its directory is damaged')
    const word = (offset: number) => directory.getUint16(at + offset, true)
    const entry = {
      name: Buffer.from(raw.subarray(at + CENTRAL.bytes, at + CENTRAL.bytes + word(28))).toString('utf8'),
      packed: directory.getUint32(at + 20, true),
      size: directory.getUint32(at + 24, true),
      method: word(10),
      at: directory.getUint32(at + 42, true),
    }
    if (word(8) & ENCRYPTED) throw broken(path, `${entry.name} is encrypted`)
    if ([entry.packed, entry.size, entry.at].includes(ELSEWHERE)) throw broken(path, 'zip64 is not supported')
    entries.push(entry)
    at += CENTRAL.bytes + word(28) + word(30) + word(32)
  }
  return entries
}

/** Unpacks one entry into the file `to`. */
export async function unzip(path: string, entry: ZipEntry, to: string, signal?: AbortSignal): Promise<void> {
  const local = view(readRange(path, entry.at, LOCAL.bytes))
  if (local.getUint32(0, true) !== LOCAL.signature) throw broken(path, `${entry.name} is not where its directory says`)
  if (entry.method !== STORED && entry.method !== DEFLATED) throw broken(path, `${entry.name} is packed by method ${entry.method}`)
  const start = entry.at + LOCAL.bytes + local.getUint16(26, true) + local.getUint16(28, true)
  const out = createWriteStream(to, { flush: true })
  try {
    // an empty range can't be said to createReadStream, whose end is inclusive
    const source = entry.packed === 0 ? [] : createReadStream(path, { start, end: start + entry.packed - 1, highWaterMark: 1 << 20 })
    await (entry.method === STORED ? pipeline(source, out, { signal }) : pipeline(source, createInflateRaw(), out, { signal }))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw code?.startsWith('Z_') || code === 'ERR_BUFFER_TOO_LARGE' ? broken(path, `${entry.name} can't be unpacked`) : cause
  }
  if (out.bytesWritten !== entry.size) throw broken(path, `${entry.name} has ${out.bytesWritten} bytes, not ${entry.size}`)
}

const view = ({ buffer, byteOffset, byteLength }: Uint8Array) => new DataView(buffer, byteOffset, byteLength)

function broken(path: string, why: string): SaqrError {
  return new SaqrError('FORMAT_ZIP', `${path} can't be read as a zip archive: ${why}. Fetch it again.`)
}
