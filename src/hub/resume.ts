/**
 * One file of known size and hash onto the disk. What a broken download left is gone on with, in this run or the next one; the whole is
 * checked against its hash before it stands under its name.
 */
import type { Hash } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { SaqrError } from '../error.ts'
import { PassingError, patience, patiently } from './client.ts'
import { alive, exists, fileError, isFileSystem, makeFolder } from './files.ts'
import { move } from './move.ts'
import type { HubWait } from './places.ts'

export interface Incoming {
  /** as messages name it: 'model.safetensors of owner/name' */
  name: string
  size: number
  /** hex, of the whole */
  digest: string
  /** takes the whole and gives its digest */
  hash(): Hash
  /** where it comes from, as messages name it */
  from: string
  /** of an error of damaged bytes, and of one of the connection */
  codes: { damaged: string; offline: string }
  /** Bytes that begin at `at`, or earlier where the server can't do that: `start` says where. */
  open(at: number, signal: AbortSignal): Promise<{ start: number; stream: ReadableStream<Uint8Array> }>
  /** what a failure of the connection is told as; a SaqrError passes through */
  failure(cause: unknown, signal: AbortSignal | undefined): unknown
}

export interface Patience {
  signal?: AbortSignal
  /** first wait before a failed request is tried again, doubled each time (ms, default 1000) */
  retryDelay?: number
  /** hears of each failure that may pass, before it is tried again */
  onWait?: (wait: HubWait) => void
}

/** Makes `file` stand at `target`. `onBytes` hears how many bytes of it are on disk. */
export async function download(target: string, file: Incoming, options: Patience, onBytes: (done: number) => void): Promise<void> {
  try {
    makeFolder(dirname(target))
    const partial = adopt(target)
    let before = sizeOf(partial)
    const gotOn = () => {
      const more = sizeOf(partial) > before
      before = sizeOf(partial)
      return more
    }
    for (let again = 0; ; again++) {
      await patiently(() => append(partial, file, options.signal, onBytes), options, gotOn)
      if ((await hashOf(partial, file)) === file.digest) break
      truncateSync(partial) // also where an older start was of another file
      if (again > 0)
        throw new SaqrError(file.codes.damaged, `${file.name} arrived damaged twice: its hash is not ${file.digest}. Try again later.`)
    }
    move(partial, target)
  } catch (cause) {
    throw isFileSystem(cause) ? fileError(cause, target, 'write') : cause
  }
}

/** Each process has its own unfinished file, so that two never write into one; that of a dead process is taken over. */
function adopt(target: string): string {
  const prefix = `${basename(target)}.${hostname()}-`
  const own = join(dirname(target), `${prefix}${process.pid}.incomplete`)
  for (const name of readdirSync(dirname(target))) {
    const pid = name.startsWith(prefix) && /^(\d+)\.incomplete$/.exec(name.slice(prefix.length))?.[1]
    if (!pid || Number(pid) === process.pid || alive(Number(pid))) continue
    const left = join(dirname(target), name)
    if (exists(own)) rmSync(left, { force: true })
    else move(left, own)
  }
  return own
}

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** Asks for what is missing and appends it as it comes. */
async function append(partial: string, file: Incoming, signal: AbortSignal | undefined, onBytes: (done: number) => void): Promise<void> {
  if (sizeOf(partial) > file.size) truncateSync(partial)
  const fd = openSync(partial, 'a')
  const silence = new AbortController()
  const either = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal
  let timer: NodeJS.Timeout | undefined
  const listen = () => {
    clearTimeout(timer)
    timer = setTimeout(() => silence.abort(new DOMException(`silent for ${patience / 1000} s`, 'TimeoutError')), patience)
  }
  try {
    let done = sizeOf(partial)
    onBytes(done)
    if (done === file.size) return
    listen()
    try {
      const { start, stream } = await file.open(done, either)
      if (start !== done) ftruncateSync(fd, (done = start))
      const reader = stream.getReader()
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        listen()
        if (done + part.value.length > file.size)
          throw new PassingError(file.codes.damaged, `${file.from} sent more of ${file.name} than was asked for.`)
        for (let at = 0; at < part.value.length; ) at += writeSync(fd, part.value, at)
        done += part.value.length
        onBytes(done)
      }
      if (done < file.size)
        throw new PassingError(
          file.codes.offline,
          `${file.from} broke off after ${done} of ${file.size} bytes of ${file.name}. Run the command again to go on from there.`,
        )
    } catch (error) {
      throw isFileSystem(error) ? error : file.failure(error, signal)
    }
    fsyncSync(fd)
  } finally {
    clearTimeout(timer)
    closeSync(fd)
  }
}

async function hashOf(path: string, file: Incoming): Promise<string> {
  const hash = file.hash()
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
