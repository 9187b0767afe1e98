/** Where the Hub is, who asks, and where its files are kept: read as huggingface_hub reads it, so that Python shares the cache. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { SaqrError } from '../error.ts'

export interface HubPlaces {
  hubUrl: string
  /** holds models--owner--name/, datasets--owner--name/ */
  cacheDir: string
  token: string | undefined
  /** use what is cached and nothing else */
  offline: boolean
}

export interface HubOptions {
  /** branch, tag or commit (default main) */
  revision?: string
  token?: string
  cacheDir?: string
  hubUrl?: string
  offline?: boolean
  signal?: AbortSignal
  onProgress?: (progress: HubProgress) => void
  /** hears of each failure that may pass, before it is tried again */
  onWait?: (wait: HubWait) => void
  /** first wait before a failed request is tried again, doubled each time (ms, default 1000) */
  retryDelay?: number
}

/** How far a download from the Hub is. */
export interface HubProgress {
  /** file of the repository */
  file: string
  /** bytes of it on disk */
  done: number
  /** bytes of it in all */
  total: number
  /** bytes on disk of everything asked for */
  allDone: number
  /** bytes in all of everything asked for */
  allTotal: number
}

/** What was asked for has failed in passing, and is asked for again. */
export interface HubWait {
  /** the failure, as the error would say it */
  why: string
  /** until the next try */
  seconds: number
  /** how many tries are left, if it fails so again */
  left: number
}

type Environment = Readonly<Record<string, string | undefined>>

/** Options first, then HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN, HF_HUB_OFFLINE and their older names, then the defaults. */
export function hubPlaces(options: HubOptions = {}, env: Environment = process.env): HubPlaces {
  const cacheDir = options.cacheDir ?? expand(env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE ?? join(homeOf(env), 'hub'), env)
  const hubUrl = (options.hubUrl ?? env.HF_ENDPOINT ?? 'https://huggingface.co').replace(/\/+$/, '')
  const implicit = isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN) ? undefined : env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || tokenFile(env)
  const token = (options.token ?? implicit)?.trim() || undefined
  if (token && !token.startsWith('hf_')) {
    throw new SaqrError(
      'HUB_TOKEN',
      'The access token does not start with hf_: it is no Hugging Face token. Make one at https://huggingface.co/settings/tokens.',
    )
  }
  return { hubUrl, cacheDir, token, offline: options.offline ?? isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE) }
}

const homeOf = (env: Environment) => expand(env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? '~/.cache', 'huggingface'), env)

/**
 * The user's own folder.
 * @throws SaqrError HUB_HOME where the system knows none: a container's number of a user that has no name there, without HOME
 */
export function homeFolder(asked: () => string = homedir): string {
  let why = 'it is empty'
  try {
    const home = asked()
    if (home !== '') return home
  } catch {
    why = `it isn't set, and the system has no user ${process.getuid?.() ?? ''}`.trimEnd()
  }
  const name = process.platform === 'win32' ? 'USERPROFILE' : 'HOME'
  throw new SaqrError(
    'HUB_HOME',
    `No home folder is known (${name}: ${why}). Set ${name}, or for caches alone XDG_CACHE_HOME, to a folder that may be written.`,
  )
}

/** A path that begins with `~` in the user's own folder, any other as it is. @throws SaqrError HUB_HOME */
export const homed = (path: string): string => (path === '~' || path.startsWith('~/') ? join(homeFolder(), path.slice(1)) : path)

/** saqr's own cache (limits, compiled kernels, fetched libraries): $XDG_CACHE_HOME/saqr, else where each system has its caches. */
export function cacheFolder(env: Environment = process.env, platform: string = process.platform, known?: string): string {
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, 'saqr')
  const home = known ?? homeFolder()
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'saqr')
  if (platform === 'win32') return join(env.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'saqr', 'Cache')
  return join(home, '.cache', 'saqr')
}

/** Where prepared rows are kept. */
export const preparedRowsFolder = (env: Environment = process.env): string => join(homeOf(env), 'saqr', 'rows')

const isTrue = (value: string | undefined) => ['1', 'ON', 'YES', 'TRUE'].includes((value ?? '').toUpperCase())

/** `~` and `$NAME` as Python's expanduser and expandvars */
function expand(path: string, env: Environment): string {
  return homed(path).replace(/\$(\w+)|\$\{(\w+)\}/g, (whole, a?: string, b?: string) => env[a ?? b ?? ''] ?? whole)
}

function tokenFile(env: Environment): string | undefined {
  try {
    return readFileSync(expand(env.HF_TOKEN_PATH ?? join(homeOf(env), 'token'), env), 'utf8')
  } catch {
    return undefined // nobody is logged in, or there is no home
  }
}
