/** A file takes another's place, or is found under another name too. */
import { copyFileSync, lstatSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, relative } from 'node:path'

/** milliseconds that a file which somebody has open is waited for, and of a wait between two tries */
const PATIENCE = 2000
const PAUSE = 20
/** what Windows says while another program (a virus scanner, an indexer, a backup) has the file open */
const BUSY = new Set(['EPERM', 'EACCES', 'EBUSY'])

/**
 * rename(2). On Windows a file that is open can't be replaced, and what was just written is looked at by others for a moment: it tries again.
 * @throws what renameSync throws
 */
export function move(from: string, to: string, rename = renameSync, platform: string = process.platform): void {
  for (const until = Date.now() + PATIENCE; ; ) {
    try {
      rename(from, to)
      return
    } catch (error) {
      if (platform !== 'win32' || !BUSY.has((error as NodeJS.ErrnoException).code ?? '') || Date.now() >= until) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE)
    }
  }
}

/**
 * A relative link, as Python makes it; a copy where an account or a file system has no links: Windows, exFAT, shared folders say so in many ways
 * (EPERM, EISDIR, ENOSYS, ENOTSUP, EINVAL).
 * @throws what symlinkSync throws where the name is taken, what copyFileSync throws
 */
export function linkOrCopy(file: string, name: string, symlink: (target: string, name: string) => void = symlinkSync): void {
  try {
    symlink(relative(dirname(name), file), name)
  } catch (error) {
    if (lstatSync(name, { throwIfNoEntry: false })) throw error
    // a copy that is cut off has not the name by which it counts as whole
    const aside = `${name}.${process.pid}`
    try {
      copyFileSync(file, aside)
      move(aside, name)
    } finally {
      rmSync(aside, { force: true })
    }
  }
}
