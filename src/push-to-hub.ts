/** What programs upload: a folder, or a model that is saved for it. */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type Checks, filled, flag, func, orNull, signal, take, takeOptions, text, texts } from './hub/arguments.ts'
import type { HubProgress } from './hub/places.ts'
import { shownOf } from './hub/progress.ts'
import { openRepository, type Pushed, type PushOptions, pushFolder } from './hub/push.ts'

/** How a model is uploaded. */
export interface PushToHubOptions {
  /** default: HF_TOKEN, or what `hf auth login` keeps; it must be allowed to write */
  token?: string | null
  /** of a repository that is made: true, false, or as its owner's settings say (default); one that is there stays as it is */
  private?: boolean | null
  /** branch, made from main where there is none; default main */
  revision?: string | null
  /** first line of the commit */
  commitMessage?: string | null
  /** heard between parts of a file */
  signal?: AbortSignal
  /** default: a line on standard error where that is a terminal */
  onProgress?: (progress: HubProgress) => void
}

/** How a folder is uploaded. */
export interface PushFolderOptions extends PushToHubOptions {
  /** patterns of paths below the folder that are uploaded alone: `['*.gguf', 'README.md']` */
  include?: string[]
  /** patterns of paths that are not; checkpoints, hidden files and what failed to be exported never are */
  exclude?: string[]
}

export const PUSH: Checks<PushToHubOptions> = {
  token: orNull(filled),
  private: orNull(flag),
  revision: orNull(filled),
  commitMessage: orNull(text),
  signal,
  onProgress: func('a function of the progress'),
}

/** TRL's and transformers' names */
export const PUSH_RENAMED = { privateRepo: 'private', hubToken: 'token' } as const

export const pushOptions = (o: Partial<PushToHubOptions>): PushOptions => ({
  ...(o.token != null && { token: o.token }),
  ...(o.private != null && { private: o.private }),
  ...(o.revision != null && { revision: o.revision }),
  ...(o.commitMessage != null && o.commitMessage !== '' && { commitMessage: o.commitMessage }),
  ...(o.signal && { signal: o.signal }),
  ...(process.stderr.isTTY && shownOf(process.stderr, 'uploading')),
  ...(o.onProgress && { onProgress: o.onProgress }),
})

/**
 * A folder (or one file) to a model repository on the Hub, which is made where there is none, as one commit. Files that lie there already by their hash are
 * not sent, so that the same call after one that broke off goes on from it.
 * @param repo owner/name, or a name alone: the token's owner's
 * @throws SaqrError HUB_TOKEN, HUB_FORBIDDEN, HUB_NAME, HUB_NOT_FOUND, HUB_CONFLICT, HUB_RATE_LIMIT, HUB_SERVER, HUB_OFFLINE, OPTION_…, FORMAT_NOT_FOUND
 */
export async function pushToHub(folder: string, repo: string, options?: PushFolderOptions): Promise<Pushed> {
  const path = take(folder, 'folder', filled)
  const name = take(repo, 'repo', filled)
  const checks: Checks<PushFolderOptions> = { ...PUSH, include: texts, exclude: texts }
  const { include, exclude, ...o } = takeOptions<PushFolderOptions>(options, 'pushToHub', checks, PUSH_RENAMED)
  return await pushFolder(path, name, { ...pushOptions(o), ...(include && { include }), ...(exclude && { exclude }) })
}

/** Saves into a folder of its own, uploads that and removes it. The repository is opened first: what can't be uploaded isn't saved. */
export async function pushSaved(repo: string, o: Partial<PushToHubOptions>, save: (folder: string) => Promise<unknown>): Promise<Pushed> {
  const name = take(repo, 'repo', filled)
  const options = pushOptions(o)
  const { repo: opened } = await openRepository(name, options)
  const parent = await mkdtemp(join(tmpdir(), 'saqr-push-'))
  try {
    const folder = join(parent, basename(opened.name))
    await save(folder)
    return await pushFolder(folder, opened.name, { commitMessage: 'Upload model with saqr', ...options })
  } finally {
    rmSync(parent, { recursive: true, force: true })
  }
}

/** options of the upload, and those of saving */
export function parted<T extends object>(given: T): [Partial<PushToHubOptions>, Omit<T, keyof PushToHubOptions>] {
  const isPush = ([name]: [string, unknown]) => Object.hasOwn(PUSH, name)
  const all = Object.entries(given)
  return [Object.fromEntries(all.filter(isPush)), Object.fromEntries(all.filter((one) => !isPush(one))) as Omit<T, keyof PushToHubOptions>]
}
