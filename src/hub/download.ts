/**
 * One file from the Hub into the cache. What a broken download left is gone on with, in this run or the next one; the whole is
 * checked against the hash its name in the cache promises before anybody sees it.
 */
import { createHash, type Hash } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  createReadStream,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { SaqrError } from '../error.ts'
import { hubFetch, networkError, PassingError, patience, patiently } from './client.ts'
import { alive, exists, fileError, makeFolder } from './files.ts'
import type { HubOptions, HubPlaces } from './places.ts'
import { type Repository, repositoryFolder, snapshotFolder } from './repository.ts'

export interface RemoteFile {
  path: string
  size: number
  /** name of its blob in the cache: sha256 of an LFS file, else git's sha1 */
  etag: string
}

/** Files on their way in this process, by blob: asking twice waits for one download. */
const running = new Map<string, Promise<void>>()

/** Makes `file` stand in the snapshot of `commit`. `onBytes` hears how many bytes of it are on disk. */
export async function fetchFile(
  file: RemoteFile,
  repo: Repository,
  commit: string,
  places: HubPlaces,
  options: HubOptions,
  onBytes: (done: number) => void,
): Promise<void> {
  const pointer = join(snapshotFolder(places.cacheDir, repo, commit), ...file.path.split('/'))
  if (exists(pointer)) return onBytes(file.size)
  const blob = join(repositoryFolder(places.cacheDir, repo), 'blobs', file.etag)
  if (!exists(blob)) {
    const download = running.get(blob) ?? downloadBlob(blob, file, { ...repo, revision: commit }, places, options, onBytes)
    running.set(blob, download)
    try {
      await download
    } finally {
      running.delete(blob)
    }
  }
  link(blob, pointer)
  onBytes(file.size)
}

async function downloadBlob(
  blob: string,
  file: RemoteFile,
  repo: Repository,
  places: HubPlaces,
  options: HubOptions,
  onBytes: (done: number) => void,
): Promise<void> {
  try {
    makeFolder(dirname(blob))
    const partial = adopt(blob)
    let before = sizeOf(partial)
    const gotOn = () => {
      const more = sizeOf(partial) > before
      before = sizeOf(partial)
      return more
    }
    for (let again = 0; ; again++) {
      await patiently(() => append(partial, file, repo, places, options.signal, onBytes), options, gotOn)
      if ((await hashOf(partial, file)) === file.etag) break
      truncateSync(partial) // also where an older start was of another file
      if (again > 0)
        throw new SaqrError(
          'HUB_CORRUPT',
          `${file.path} of ${repo.name} arrived damaged twice: its hash is not ${file.etag}. Try again later.`,
        )
    }
    renameSync(partial, blob)
  } catch (cause) {
    throw isFileSystem(cause) ? fileError(cause, blob, 'write') : cause
  }
}

const isFileSystem = (cause: unknown) => !(cause instanceof SaqrError) && typeof (cause as NodeJS.ErrnoException)?.errno === 'number'

/** Each process has its own unfinished file, so that two never write into one; that of a dead process is taken over. */
function adopt(blob: string): string {
  const prefix = `${basename(blob)}.${hostname()}-`
  const own = join(dirname(blob), `${prefix}${process.pid}.incomplete`)
  for (const name of readdirSync(dirname(blob))) {
    const pid = name.startsWith(prefix) && /^(\d+)\.incomplete$/.exec(name.slice(prefix.length))?.[1]
    if (!pid || Number(pid) === process.pid || alive(Number(pid))) continue
    const left = join(dirname(blob), name)
    if (exists(own)) rmSync(left, { force: true })
    else renameSync(left, own)
  }
  return own
}

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** Asks for what is missing and appends it as it comes. */
async function append(
  partial: string,
  file: RemoteFile,
  repo: Repository,
  places: HubPlaces,
  signal: AbortSignal | undefined,
  onBytes: (done: number) => void,
): Promise<void> {
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
    let failure: unknown
    const request = hubFetch(places, repo, file.path, either)
    const remembering: typeof fetch = async (input, init) => {
      try {
        return await request(input, init)
      } catch (error) {
        failure = error // the stream would pass on its text alone
        throw error
      }
    }
    try {
      const { downloadFile } = await import('@huggingface/hub')
      const content = await downloadFile({
        repo,
        path: file.path,
        revision: repo.revision,
        hubUrl: places.hubUrl,
        accessToken: places.token,
        fetch: remembering,
      })
      if (!content) throw new SaqrError('HUB_FILE', `${repo.name} has no file ${file.path} at revision ${repo.revision}.`)
      if (content.size !== file.size)
        throw new SaqrError(
          'HUB_CORRUPT',
          `${file.path} of ${repo.name} has ${content.size} bytes where ${file.size} were announced. Try again later.`,
        )
      const reader = content.slice(done).stream().getReader()
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        listen()
        if (done + part.value.length > file.size)
          throw new PassingError('HUB_CORRUPT', `${places.hubUrl} sent more of ${file.path} than was asked for.`)
        for (let at = 0; at < part.value.length; ) at += writeSync(fd, part.value, at)
        done += part.value.length
        onBytes(done)
      }
      if (done < file.size)
        throw new PassingError(
          'HUB_OFFLINE',
          `${places.hubUrl} broke off after ${done} of ${file.size} bytes of ${file.path}. Run the command again to go on from there.`,
        )
    } catch (error) {
      throw isFileSystem(error) ? error : networkError(failure ?? error, places, signal)
    }
    fsyncSync(fd)
  } finally {
    clearTimeout(timer)
    closeSync(fd)
  }
}

/** sha256 of the content, or git's hash of a blob, whichever the file's name in the cache is. */
async function hashOf(path: string, file: RemoteFile): Promise<string> {
  const hash: Hash = file.etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${file.size}\0`)
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** A relative link, as Python makes it; a copy where links are not allowed. */
function link(blob: string, pointer: string): void {
  try {
    makeFolder(dirname(pointer))
    if (lstatSync(pointer, { throwIfNoEntry: false })) rmSync(pointer) // a link to a blob that is gone
    try {
      symlinkSync(relative(dirname(pointer), blob), pointer)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EPERM') throw cause
      copyFileSync(blob, pointer)
    }
  } catch (cause) {
    throw fileError(cause, pointer, 'write')
  }
}
