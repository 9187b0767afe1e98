/** What a runtime that a program has to ask was not told to allow. */
import { SaqrError } from '../error.ts'

/** What Deno, and Node with --permission, say where a program was not allowed what it does. */
export function notAllowed(error: unknown): SaqrError | undefined {
  if (!(error instanceof Error)) return undefined
  const { name, code, permission, resource } = error as NodeJS.ErrnoException & { permission?: string; resource?: string }
  const said = error.message.replace(/\.$/, '')
  if (name === 'NotCapable')
    return new SaqrError('RUNTIME_PERMISSION', `Deno was not told to allow this: ${said}. saqr runs with ${DENO}`, { cause: error })
  if (code !== 'ERR_ACCESS_DENIED') return undefined
  const what = [permission, resource].filter(Boolean).join(' of ')
  return new SaqrError(
    'RUNTIME_PERMISSION',
    `Node’s --permission does not allow this${what && ` (${what})`}: ${said}. saqr runs with ${NODE}`,
    {
      cause: error,
    },
  )
}

/**
 * Node 20's permission model allows nobody to flush a file to the disk, without which nothing is saved.
 * @throws SaqrError RUNTIME_PERMISSION before a run would find out at its first checkpoint
 */
export function requireFlushes(): void {
  if (process.permission === undefined || Number(process.versions.node.split('.')[0]) >= 22) return
  throw new SaqrError(
    'RUNTIME_PERMISSION',
    'Node 20 with --experimental-permission allows no program to flush its files (fsync), so nothing could be saved: run Node 22 or later with --permission, or leave it out',
  )
}

/** all that a training asks for, so that nobody finds them one by one */
const DENO = '--allow-read --allow-write --allow-env --allow-sys --allow-ffi, and with --allow-net where it fetches from the Hub'
const NODE = '--allow-addons --allow-fs-read=* --allow-fs-write=FOLDERS --allow-worker --allow-child-process'
