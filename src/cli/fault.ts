/** What is told of an error: what a user can mend by its code, and what is a mistake of ours. */
import { SaqrError } from '../error.ts'

/** The error as users are told of it; undefined: a mistake of ours. */
export function told(error: unknown): SaqrError | undefined {
  return error instanceof SaqrError ? error : notAllowed(error)
}

/** What Deno, and Node with --permission, say where a program was not allowed what it does. */
function notAllowed(error: unknown): SaqrError | undefined {
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

/** all that a training asks for, so that nobody finds them one by one */
const DENO = '--allow-read --allow-write --allow-env --allow-sys --allow-ffi, and with --allow-net where it fetches from the Hub'
const NODE = '--allow-addons --allow-fs-read=* --allow-fs-write=FOLDERS --allow-worker --allow-child-process'
