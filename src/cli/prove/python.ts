/** The user's Python: what it has, and TRL run in it. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { option, SaqrError, say } from '../../error.ts'

/** what is run there; it comes with saqr */
export const SCRIPT = fileURLToPath(new URL('../../../assets/prove/trl_side.py', import.meta.url))

export type Versions = Readonly<Record<string, string | null>>

/** the packages without which there is nothing to compare with, as pip installs them */
const NEEDED = ['torch', 'transformers', 'trl', 'peft', 'datasets'] as const
const INSTALL = 'trl>=1.0'

export interface Ended {
  code: number | null
  out: string
  err: string
}

export interface RunOptions {
  signal: AbortSignal
  env?: NodeJS.ProcessEnv
  /** called with its process id */
  onStart?: (pid: number) => void
  onLine?: (line: string) => void
}

/** ms that Python has to end by itself */
const PATIENCE = 5000

/**
 * Runs the script. Its stdin is held open as long as this process lives: where that ends, so does Python.
 * @throws SaqrError OPTION_INVALID where there is no such program; the signal's reason where that comes first
 */
export async function runPython(python: string, args: readonly string[], { signal, env, onStart, onLine }: RunOptions): Promise<Ended> {
  signal.throwIfAborted()
  const child = spawn(python, [SCRIPT, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // nothing is written beside the script
    env: { ...process.env, PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1', ...env },
  })
  const ended = { code: null as number | null, out: '', err: '' }
  let begun = ''
  child.stdin.on('error', () => {}) // it ended first
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ended.out += text
    const lines = (begun + text).split('\n')
    begun = lines.pop()!
    for (const line of lines) onLine?.(line)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (ended.err += text))
  let killer: NodeJS.Timeout | undefined
  const stop = () => {
    child.kill('SIGINT')
    killer = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
  }
  signal.addEventListener('abort', stop, { once: true })
  try {
    ended.code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (cause) => reject(notThere(python, cause)))
      child.once('spawn', () => onStart?.(child.pid!))
      child.once('close', resolve)
    })
  } finally {
    signal.removeEventListener('abort', stop)
    clearTimeout(killer)
    child.stdin.destroy()
  }
  signal.throwIfAborted()
  return ended
}

/** @throws SaqrError OPTION_INVALID naming the line that installs what is missing */
export async function checkPython(python: string, signal: AbortSignal): Promise<Versions> {
  const { code, out, err } = await runPython(python, ['check'], { signal })
  let versions: Versions
  try {
    versions = JSON.parse(out)
  } catch (cause) {
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('python')} ${python} ended with ${code} instead of saying what it has:\n${tail(err)}`,
      {
        cause,
      },
    )
  }
  const missing = NEEDED.filter((name) => versions[name] === null || versions[name] === undefined)
  const install = (what: string) => `"${versions.executable ?? python}" -m pip install ${what}`
  if (missing.length > 0)
    throw new SaqrError(
      'OPTION_INVALID',
      say`there is nothing to compare with: ${versions.executable ?? python} has no ${missing.join(', no ')}. Install it with\n  ${install(missing.map((name) => (name === 'trl' ? `"${INSTALL}"` : name)).join(' '))}\nor name a Python that has it with ${option('python')}`,
    )
  if (Number.parseInt(versions.trl!, 10) < 1)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${versions.executable} has TRL ${versions.trl}, whose command line is another; saqr prove compares with TRL 1:\n  ${install(`--upgrade "${INSTALL}"`)}`,
    )
  return versions
}

function notThere(python: string, cause: Error): SaqrError {
  return new SaqrError(
    'OPTION_INVALID',
    say`there is no ${python} to compare with (${cause.message}): install Python 3.10 or newer, then\n  python3 -m pip install torch "${INSTALL}" peft\nor name a Python that has them with ${option('python')}`,
    { cause },
  )
}

/** the end of what a program said */
export function tail(text: string, lines = 30): string {
  // a progress bar writes one line over and over
  const all = text
    .split('\n')
    .map((line) => line.split('\r').at(-1)!)
    .filter((line) => line.trim() !== '')
  return all.slice(-lines).join('\n')
}
