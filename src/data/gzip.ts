/** Files packed with gzip, unpacked as they are read. */
import { createReadStream, readFileSync } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGunzip, gunzipSync } from 'node:zlib'
import { SaqrError } from '../error.ts'
import { fileError } from '../formats/files.ts'
import type { NamelessFile } from './nameless.ts'

/** what a V8 string holds comfortably */
const largest = 256 * 2 ** 20

export const isZipped = (path: string): boolean => path.toLowerCase().endsWith('.gz')

/** @throws SaqrError FORMAT_TOO_LARGE, DATA_FORMAT */
export function unpackWhole(path: string): Uint8Array {
  try {
    return gunzipSync(readFileSync(path), { maxOutputLength: largest })
  } catch (cause) {
    throw unpackError(cause, path)
  }
}

/** The bytes of a file, unpacked where it is packed. */
export function bytesOf(path: string, signal?: AbortSignal): AsyncIterable<Buffer> {
  const file = createReadStream(path, { signal, highWaterMark: 1 << 18 })
  if (!isZipped(path)) return file as AsyncIterable<Buffer>
  // what ends one of the two ends the other: who leaves early leaves no file open
  return pipeline(file, createGunzip({ chunkSize: 1 << 18 }), () => {}) as AsyncIterable<Buffer>
}

/** @throws SaqrError DATA_FORMAT, FORMAT_DISK_FULL */
export async function unpackedTo(file: NamelessFile, path: string, signal?: AbortSignal): Promise<void> {
  try {
    for await (const bytes of bytesOf(path, signal)) file.add(bytes)
    file.flush()
  } catch (cause) {
    if (signal?.aborted) throw signal.reason
    throw unpackError(cause, path)
  }
}

export function unpackError(cause: unknown, path: string): SaqrError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (cause instanceof SaqrError) return cause
  if (code === 'ERR_BUFFER_TOO_LARGE')
    return new SaqrError('FORMAT_TOO_LARGE', `${path} holds more than ${largest} bytes. Save it as lines of JSON (.jsonl.gz).`)
  if (code?.startsWith('Z_')) return new SaqrError('DATA_FORMAT', `${path} can't be unpacked: ${message}. Fetch it again.`, { cause })
  return fileError(cause, path, 'read')
}
