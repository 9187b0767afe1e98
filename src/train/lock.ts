/**
 * One run at a time in an output folder: a file that says who is in it. What a process that died left behind is taken over; a process that can't
 * be asked (another machine, another container) counts as living while it touches the file.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, readlinkSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { option, SaqrError, say } from '../error.ts'
import { isObject } from '../formats/json.ts'
import { alive, fileError } from '../hub/files.ts'
import { move } from '../hub/move.ts'
import { requireFlushes } from '../hub/permission.ts'

const NAME = '.saqr-lock'

/** milliseconds between two touches, and after which an untouched lock of elsewhere is a dead one's */
const TOUCH = 10_000
const FORGOTTEN = 120_000
/** a lock that is being written has no words yet */
const WRITING = 2_000

interface Holder {
  host: string
  /** processes of other containers have numbers of their own */
  space: string
  pid: number
  /** tells a process from a later one of its number; '' where the system doesn't say of another */
  started: string
  /** milliseconds of the day clock when it started, as it knows of itself */
  since: number
}

/** one number for all threads: in Bun and Deno a worker's uptime is its own, so it has what the thread that began it knows */
const SINCE_KEY = 'saqr: this process began'
const SINCE = (getEnvironmentData(SINCE_KEY) as number | undefined) ?? Math.round(Date.now() - process.uptime() * 1000)
setEnvironmentData(SINCE_KEY, SINCE)
/** by which threads that each reckoned it may differ, in milliseconds */
const ALIKE = 2000

/**
 * Takes the folder, which exists, until the returned function is called.
 * @param startOf a process, as the system tells it
 * @throws SaqrError TRAIN_LOCKED while another run is in it
 */
export function lockFolder(folder: string, startOf: (pid: number) => string = startedAt): () => void {
  requireFlushes()
  const path = join(folder, NAME)
  const me = self(startOf)
  const mine = JSON.stringify(me)
  try {
    for (let tries = 0; !create(path, mine); tries++) {
      const found = read(path)
      if (found === null) continue
      if (tries > 20 || lives(found, me, startOf))
        throw locked(folder, path, found.text === mine ? 'a run of this process' : whoIs(found.holder))
      takeAway(path, found.text)
    }
  } catch (cause) {
    throw fileError(cause, path, 'write')
  }
  const touching = setInterval(() => touch(path, mine), TOUCH)
  touching.unref()
  return () => {
    clearInterval(touching)
    try {
      if (read(path)?.text === mine) rmSync(path, { force: true })
    } catch {
      // a folder that is gone or can't be read: what a run has to say comes first, and its lock dies with it
    }
  }
}

/** 'wx' fails where the file is there, on every file system; two can't both succeed */
function create(path: string, text: string): boolean {
  let fd: number
  try {
    fd = openSync(path, 'wx')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  try {
    try {
      writeSync(fd, text)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    rmSync(path, { force: true }) // without its words it would keep others out
    throw error
  }
  return true
}

interface Found {
  text: string
  /** null: it has no words that are ours */
  holder: Holder | null
  /** milliseconds since it was written or touched */
  age: number
}

/** null where there is none any more */
function read(path: string): Found | null {
  try {
    const text = readFileSync(path, 'utf8')
    return { text, holder: parse(text), age: Date.now() - statSync(path).mtimeMs }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

function parse(text: string): Holder | null {
  try {
    const json = JSON.parse(text) as unknown
    return isObject(json) && typeof json.pid === 'number' ? (json as unknown as Holder) : null
  } catch {
    return null
  }
}

function lives({ holder, age }: Found, { host, space, pid, started }: Holder, startOf: (pid: number) => string): boolean {
  if (holder === null) return age < WRITING
  if (holder.host !== host || holder.space !== space) return age < FORGOTTEN
  // Windows soon gives a number to another process: of itself one knows better than by its number
  if (holder.pid === pid) return holder.started === started && (started !== '' || Math.abs(holder.since - SINCE) < ALIKE)
  // one that is stopped touches nothing and lives
  return alive(holder.pid) && startOf(holder.pid) === holder.started
}

/** Moved aside first: had another run taken the folder meanwhile, its file would come back. */
function takeAway(path: string, text: string): void {
  const aside = `${path}-${hostname()}-${process.pid}`
  try {
    move(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (readFileSync(aside, 'utf8') === text) rmSync(aside)
  else move(aside, path)
}

/** While it is this run's: to keep another's alive is not its business. */
function touch(path: string, mine: string): void {
  try {
    if (read(path)?.text === mine) utimesSync(path, new Date(), new Date())
  } catch {
    // a folder that was taken away is found out at the next save
  }
}

function self(startOf: (pid: number) => string): Holder {
  return { host: hostname(), space: spaceOf(), pid: process.pid, started: startOf(process.pid), since: SINCE }
}

/** Linux's process namespace; elsewhere there is one */
function spaceOf(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

/**
 * When a process started: as Linux counts (field 22 of proc(5)'s stat), as macOS's ps says it; '' on Windows, where its number alone must do. Of its
 * first thread: QEMU tells a program that it emulates a /proc/PID/stat of its own, and others the kernel's.
 */
function startedAt(pid: number): string {
  if (process.platform === 'darwin') {
    // in one language and time zone, whatever the asking process has: two have to read the same
    const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' }
    return spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', env }).stdout?.trim() ?? ''
  }
  try {
    const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // one that has ended stands there until its parent asks how, in a container perhaps for ever
    return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '')
  } catch {
    return ''
  }
}

function whoIs(holder: Holder | null): string {
  return holder === null ? 'another run' : `process ${holder.pid} on ${holder.host}`
}

function locked(folder: string, path: string, who: string): SaqrError {
  return new SaqrError(
    'TRAIN_LOCKED',
    say`${folder} is in use by ${who}: wait for it, or give this run an ${option('outputDir')} of its own (nobody there any more? remove ${path})`,
  )
}
