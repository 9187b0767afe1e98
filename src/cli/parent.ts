/** The program that started this process by fork(): gone, or has it only let go of it (`disconnect()`)? The channel closes in the same way. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const parent = process.ppid

/** how long a process may take to be gone after its channel has closed: it closes its files last, milliseconds before */
const MOMENT_MS = 1000

/**
 * Whether it is gone. Of a process started `detached` never: that is to outlive it. (Windows doesn't say which one is.) It may have gone before a line
 * of this was read: then whoever takes orphans is the parent. Who forked this without `detached` is of its group, and that one mostly isn't; where it
 * is too (a container without job control), or where the system doesn't say, it is taken for the program, which lives.
 * @param group of a process, as the system tells it; NaN where it doesn't
 */
export async function parentGone(group: (pid: number) => number = groupOf): Promise<boolean> {
  if (process.platform !== 'win32') {
    const own = group(process.pid)
    if (own === process.pid) return false
    // 0: of a container's outside, which can't be seen
    const theirs = parent === 0 ? Number.NaN : group(parent)
    if (Number.isFinite(own) && Number.isFinite(theirs) && theirs !== own) return true
  }
  for (const until = performance.now() + MOMENT_MS; performance.now() < until; ) {
    if (process.ppid !== parent || !alive(parent)) return true
    await sleep(20, undefined, { ref: false })
  }
  return false
}

/** Windows goes on naming the parent that was */
function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** a process's group: `detached` makes it the first of one; NaN: there is no such process, or the system shows it to others alone (hidepid) */
export function groupOf(pid: number): number {
  if (process.platform === 'linux') {
    let stat: string
    try {
      stat = readFileSync(`/proc/${pid}/stat`, 'utf8') // pid (name, of any characters) state ppid pgrp …
    } catch {
      return Number.NaN
    }
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2])
  }
  // loaded where it is needed, not at every start
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  return Number.parseInt(spawnSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' }).stdout, 10)
}
