/**
 * Files written so that a reader never meets half of one: the bytes go to a hidden file beside the target, are flushed to the
 * disk and renamed over it. A process killed in between leaves the old file; its remains are swept by the next write.
 */
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { SaqrError } from '../error.ts'
import { move } from './move.ts'
import { notFound, statOf } from './not-found.ts'
import { notAllowed } from './permission.ts'
import { WriteBehind } from './write-behind.ts'

/** Turns an error of the file system into one a user can act on; a SaqrError passes through. */
export function fileError(cause: unknown, path: string, verb: 'read' | 'write'): SaqrError {
  if (cause instanceof SaqrError) return cause
  const denied = notAllowed(cause)
  if (denied) return denied
  const code = (cause as NodeJS.ErrnoException).code
  const say = (name: string, message: string) => new SaqrError(name, message, { cause })
  if (code === 'ENOENT' && verb === 'read') return notFound(path, { cause })
  if (code === 'EISDIR') {
    const rest = verb === 'write' ? ': move it away, or choose another place' : ''
    return say('FORMAT_NOT_A_FILE', `${path} is a folder, not a file${rest}.`)
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return say(
      'FORMAT_DISK_FULL',
      `The disk is full: ${path} was not written, what was there before is unchanged. Free some space and try again.`,
    )
  }
  if (code === 'EFBIG')
    return say('FORMAT_DISK_FULL', `${path} is larger than a file may be here; it was not written. Save to another disk.`)
  if (code === 'ENOENT') return say('FORMAT_PERMISSION', `No folder can be made for ${path}: choose another place.`)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EBUSY') {
    const open = process.platform === 'win32' ? ', or a program has it open (a model that was opened from it, too)' : ''
    return say('FORMAT_PERMISSION', `No permission to ${verb} ${path}${open}. Change its permissions or choose another place.`)
  }
  if (code === 'EROFS') return say('FORMAT_PERMISSION', `${path} is on a read-only disk. Choose another place.`)
  if (code === 'EMFILE' || code === 'ENFILE')
    return say('FORMAT_FILE', `Too many open files to ${verb} ${path}. Raise the limit (ulimit -n).`)
  if (code === 'ENOTDIR' || code === 'EEXIST')
    return say('FORMAT_FILE', `${path} can't be used: a part of it is a file where a folder is needed.`)
  return say('FORMAT_FILE', `Could not ${verb} ${path}: ${(cause as Error).message}`)
}

/** Is it the file system's, for `fileError`? */
export function isFileSystem(cause: unknown): boolean {
  return !(cause instanceof SaqrError) && typeof (cause as NodeJS.ErrnoException)?.errno === 'number'
}

/** A folder with those above it. Node's own recursive mkdir never returns where a parent takes no folders (as in /proc). */
export function makeFolder(folder: string): void {
  const missing: string[] = isFile(folder) ? [folder] : [] // which says that it is a file
  for (let path = resolve(folder); statOf(path) === undefined && dirname(path) !== path; path = dirname(path)) missing.push(path)
  for (const path of missing.reverse()) {
    try {
      mkdirSync(path)
    } catch (cause) {
      // another process may have made it meanwhile
      if (!isFolder(path)) throw cause
    }
  }
}

/** Makes the folder if need be and proves that files can be written there: fails before a run, not at its first save. */
export function ensureWritableFolder(folder: string): void {
  try {
    makeFolder(folder)
    accessSync(folder, constants.W_OK | constants.X_OK)
    const probe = partialName(join(folder, 'probe'))
    closeSync(openSync(probe, 'w'))
    rmSync(probe)
  } catch (cause) {
    throw fileError(cause, folder, 'write')
  }
}

const separator = '.saqr-'
const partialName = (path: string) => join(dirname(path), `.${basename(path)}${separator}${hostname()}-${process.pid}`)

/** what this process is writing: who writes the same path at the same time has a name of its own, and the last to be done stays */
const writing = new Set<string>()
function takePartial(path: string): { partial: string; release: () => void } {
  const name = partialName(path)
  let partial = name
  for (let i = 1; writing.has(partial); i++) partial = `${name}.${i}`
  writing.add(partial)
  return { partial, release: () => writing.delete(partial) }
}

/** Removes what processes that died left beside `path`, and nothing of those that live; a folder they had set aside comes back. */
function sweep(path: string): void {
  const prefix = `.${basename(path)}${separator}${hostname()}-`
  for (const name of readdirSync(dirname(path))) {
    const [, pid, old] = (name.startsWith(prefix) && /^(\d+)(?:\.\d+)?(\.old)?$/.exec(name.slice(prefix.length))) || []
    if (pid === undefined || Number(pid) === process.pid || alive(Number(pid))) continue
    const left = join(dirname(path), name)
    if (old && !exists(path)) move(left, path)
    else rmSync(left, { force: true, recursive: true })
  }
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** A file being written: `commit` makes it appear under its name, `abandon` leaves no trace. */
export interface AtomicFile {
  write(bytes: Uint8Array): void
  /** Writes while its caller goes on, and waits for what was given this way before: bytes stay as they are until the next call is through, or `settled`. */
  writeBehind(bytes: Uint8Array): Promise<void>
  /** waits for all of them: before anything else is done with the file */
  settled(): Promise<void>
  /** @param lasting through a power cut: the disk is waited for, which can take it most of a second */
  commit(lasting?: boolean): void
  abandon(): void
}

/** Opens a file that appears under `path` when committed. Errors: FORMAT_DISK_FULL, FORMAT_PERMISSION, FORMAT_FILE. */
export function openAtomic(path: string): AtomicFile {
  const { partial, release } = takePartial(path)
  let fd = -1
  let over = false
  const guard = <T>(action: () => T): T => {
    try {
      return action()
    } catch (cause) {
      abandon()
      throw fileError(cause, path, 'write')
    }
  }
  const close = () => {
    if (fd >= 0) closeSync(fd)
    fd = -1
  }
  const abandon = () => {
    if (over) return // the name may be somebody else's by now
    over = true
    try {
      close()
      rmSync(partial, { force: true })
    } catch {
      // the first failure is the one to tell
    }
    release()
  }
  guard(() => {
    sweep(path)
    fd = openSync(partial, 'w')
  })
  const behind = new WriteBehind(fd)
  const waiting = async (work: Promise<void>) => {
    try {
      await work
    } catch (cause) {
      throw fileError(cause, path, 'write')
    }
  }
  return {
    write: (bytes) => guard(() => writeAll(fd, bytes)),
    writeBehind: (bytes) => waiting(behind.give(bytes)),
    settled: () => waiting(behind.end()),
    commit: (lasting = true) =>
      guard(() => {
        if (lasting) fsyncSync(fd)
        close()
        if (!lasting) rmSync(path, { force: true }) // ext4 waits for the disk where a new file takes another's place
        move(partial, path)
        over = true
        release()
        if (lasting) syncFolder(dirname(path))
      }),
    abandon,
  }
}

/** One call may write less than asked for (a disk that fills up, 2 GiB at most). */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    const count = writeSync(fd, bytes, at, Math.min(bytes.length - at, 2 ** 30))
    if (count === 0) throw Object.assign(new Error('nothing more could be written'), { code: 'ENOSPC' })
    at += count
  }
}

/** A rename lasts through a power cut only once its folder is flushed too. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return // folders can't be opened there, and the rename is journalled
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Writes a small file at once. */
export function writeFileAtomic(path: string, content: string | Uint8Array): void {
  const file = openAtomic(path)
  file.write(typeof content === 'string' ? Buffer.from(content) : content)
  file.commit()
}

/** Writes a small file of a cache without waiting for the disk: what reads it makes anew what isn't there, or what a power cut left of it. */
export function writeCacheFile(path: string, content: string | Uint8Array): void {
  makeFolder(dirname(path))
  const file = openAtomic(path)
  file.write(typeof content === 'string' ? Buffer.from(content) : content)
  file.commit(false)
}

/**
 * A folder that appears as a whole: `fill` writes into a hidden folder beside it, which then takes the place of `path`.
 * An older folder of that name is replaced; it stays untouched if `fill` throws.
 */
export async function writeFolderAtomic(path: string, fill: (folder: string) => Promise<void> | void): Promise<void> {
  const { partial, release } = takePartial(path)
  const old = `${partial}.old`
  try {
    makeFolder(dirname(path))
    sweep(path)
    rmSync(partial, { force: true, recursive: true })
    mkdirSync(partial)
    await fill(partial)
    syncFolder(partial)
    const replaces = exists(path)
    if (replaces) move(path, old)
    move(partial, path)
    syncFolder(dirname(path))
    if (replaces) rmSync(old, { force: true, recursive: true })
  } catch (cause) {
    rmSync(partial, { force: true, recursive: true })
    if (exists(old) && !exists(path)) move(old, path)
    throw fileError(cause, path, 'write')
  } finally {
    release()
  }
}

/**
 * Files that belong together, in a folder that may hold others: `fill` writes them into a hidden folder in it, from which they take their places when
 * all are there. Whatever fails, those of before stay.
 */
export async function writeFilesTogether(folder: string, fill: (part: string) => Promise<void> | void): Promise<void> {
  const unsaved = join(folder, 'unsaved')
  const { partial, release } = takePartial(unsaved)
  try {
    makeFolder(folder)
    sweep(unsaved)
    rmSync(partial, { force: true, recursive: true })
    mkdirSync(partial)
    await fill(partial)
    takePlaces(partial, folder)
  } catch (cause) {
    throw fileError(cause, folder, 'write')
  } finally {
    rmSync(partial, { force: true, recursive: true })
    release()
  }
}

/** Each file of `part` takes its place in `folder`; where one can't, those that did are put back. */
function takePlaces(part: string, folder: string): void {
  const names = readdirSync(part, { recursive: true, encoding: 'utf8' }).filter((name) => isFile(join(part, name)))
  const before = join(part, '.before')
  const taken: string[] = []
  for (const name of names) {
    const place = join(folder, name)
    try {
      makeFolder(dirname(place))
      if (isFolder(place)) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
      if (exists(place)) keepAnother(place, join(before, name))
      move(join(part, name), place)
      taken.push(name)
    } catch (cause) {
      for (const one of taken) {
        if (exists(join(before, one))) move(join(before, one), join(folder, one))
        else rmSync(join(folder, one))
      }
      throw fileError(cause, place, 'write')
    }
  }
}

/** The file under another name too: never is it under none. */
function keepAnother(path: string, another: string): void {
  makeFolder(dirname(another))
  try {
    linkSync(path, another)
  } catch {
    copyFileSync(path, another) // a file system without links
  }
}

export function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

export function isFile(path: string): boolean {
  return statOf(path)?.isFile() ?? false
}

export function isFolder(path: string): boolean {
  return statOf(path)?.isDirectory() ?? false
}

/** Exactly `length` bytes from `offset` of an open file, into `out` if given. */
export function readExactly(
  fd: number,
  path: string,
  offset: number,
  length: number,
  out: Uint8Array = new Uint8Array(length),
): Uint8Array {
  for (let at = 0; at < length; ) {
    const count = readSync(fd, out, at, Math.min(length - at, 2 ** 30), offset + at)
    if (count === 0)
      throw new SaqrError(
        'FORMAT_TRUNCATED',
        `${path} ends at byte ${offset + at}, where ${length - at} more were expected. Fetch it again.`,
      )
    at += count
  }
  return out
}

/** bytes that git-lfs puts in a file's place at most */
const POINTER = 1024

/** @throws SaqrError FORMAT_LFS_POINTER for what git-lfs left where the file should be */
export function refusePointer(bytes: Uint8Array, path: string): void {
  if (bytes.length > POINTER || !/^version https:\/\/(git-lfs|hawser)\.github\.com\/spec\//.test(Buffer.from(bytes).toString('latin1')))
    return
  throw new SaqrError(
    'FORMAT_LFS_POINTER',
    `${path} is a git-lfs pointer and not the file itself, which was never fetched: run git lfs install and git lfs pull in its repository.`,
  )
}

/** Opens `path` for reading while `use` runs. */
export function withFile<T>(path: string, use: (fd: number, size: number) => T): T {
  let fd = -1
  try {
    const stat = statSync(path)
    if (!stat.isFile()) throw new SaqrError('FORMAT_NOT_A_FILE', `${path} is not a file.`)
    fd = openSync(path, 'r')
    if (stat.size <= POINTER) refusePointer(readExactly(fd, path, 0, stat.size), path)
    return use(fd, stat.size)
  } catch (cause) {
    throw fileError(cause, path, 'read')
  } finally {
    if (fd >= 0) closeSync(fd)
  }
}

/** Exactly `length` bytes from `offset`, into `out` if given. */
export function readRange(path: string, offset: number, length: number, out?: Uint8Array): Uint8Array {
  return withFile(path, (fd) => readExactly(fd, path, offset, length, out))
}
