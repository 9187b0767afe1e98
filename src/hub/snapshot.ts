/** A revision of a repository in the cache: asks the Hub which files it has, fetches those wanted, or makes do with what is there. */
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SaqrError } from '../error.ts'
import { hubFetch, PassingError, patience, patiently } from './client.ts'
import { fetchFile, type RemoteFile } from './download.ts'
import { fileError, makeFolder, writeFileAtomic } from './files.ts'
import type { HubOptions, HubPlaces } from './places.ts'
import { cachedCommit, cachedSnapshot, checkFileName, isCommit, type Repository, repositoryFolder, snapshotFolder } from './repository.ts'
import { within } from './within.ts'

/** Files fetched at the same time. */
const together = 3

/** A revision whose files can be asked for one after the other, as a later choice may depend on an earlier file. */
export interface Snapshot {
  folder: string
  commit: string
  /** paths inside the repository; offline those that are cached */
  files: ReadonlySet<string>
  /** set where the Hub could not be asked: why */
  note?: string
  /** Makes these files stand in `folder`. */
  fetch(paths: readonly string[]): Promise<void>
}

/**
 * Opens a revision. Without a connection the cached one is used; if the Hub can be reached, what it says counts.
 * Errors: HUB_NOT_CACHED offline; HUB_NOT_FOUND, HUB_GATED, HUB_TOKEN, HUB_REVISION, HUB_RATE_LIMIT, HUB_SERVER, HUB_OFFLINE.
 */
export async function openSnapshot(repo: Repository, places: HubPlaces, options: HubOptions): Promise<Snapshot> {
  const cached = cachedSnapshot(places.cacheDir, repo)
  if (places.offline) {
    if (!cached) throw notCached(repo, places)
    return fromCache(cached, repo, places)
  }
  let commit: string
  let remote: Map<string, RemoteFile>
  try {
    const signal = within(patience, options.signal)
    // a cached revision stands in at once; only without one is it worth waiting
    const ask = () => askHub(repo, places, signal)
    ;({ commit, remote } = cached ? await ask() : await patiently(ask, options))
  } catch (error) {
    if (!(error instanceof PassingError) || !cached) throw error
    return { ...fromCache(cached, repo, places), note: `${error.message} The revision in the cache is used.` }
  }
  rememberRevision(repo, commit, places)
  const folder = snapshotFolder(places.cacheDir, repo, commit)
  const progress = counter(options)
  return {
    folder,
    commit,
    files: new Set(remote.keys()),
    async fetch(paths) {
      const wanted = paths.map((path) => {
        const file = remote.get(path)
        if (!file) throw noFile(repo, path)
        return file
      })
      for (const file of wanted) progress(file, 0)
      await inParallel(wanted, together, (file) => fetchFile(file, repo, commit, places, options, (done) => progress(file, done)))
    },
  }
}

/** The commit of a revision, and its files. */
export async function askHub(
  repo: Repository,
  places: HubPlaces,
  signal: AbortSignal,
): Promise<{ commit: string; remote: Map<string, RemoteFile> }> {
  const { datasetInfo, listFiles, modelInfo } = await import('@huggingface/hub') // 8 MB of process, for whoever goes there
  const shared = { hubUrl: places.hubUrl, accessToken: places.token, fetch: hubFetch(places, repo, 'its description', signal) }
  const which = { ...shared, name: repo.name, revision: repo.revision }
  const { sha } =
    repo.type === 'model'
      ? await modelInfo({ ...which, additionalFields: ['sha'] })
      : await datasetInfo({ ...which, additionalFields: ['sha'] })
  if (typeof sha !== 'string' || !isCommit(sha))
    throw new SaqrError('HUB_SERVER', `${places.hubUrl} names no commit for ${repo.name}. Is it a Hugging Face Hub?`)
  const remote = new Map<string, RemoteFile>()
  for await (const entry of listFiles({ ...shared, repo: { type: repo.type, name: repo.name }, revision: sha, recursive: true })) {
    if (entry.type !== 'file') continue
    const etag = entry.lfs?.oid ?? entry.oid
    if (!etag || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag))
      throw new SaqrError('HUB_SERVER', `${places.hubUrl} gives no hash for ${entry.path} of ${repo.name}.`)
    remote.set(checkFileName(entry.path, repo), { path: entry.path, size: entry.lfs?.size ?? entry.size, etag })
  }
  return { commit: sha, remote }
}

function fromCache(folder: string, repo: Repository, places: HubPlaces): Snapshot {
  const files = new Set(filesBelow(folder, ''))
  return {
    folder,
    commit: cachedCommit(places.cacheDir, repo)!,
    files,
    async fetch(paths) {
      const missing = paths.find((path) => !files.has(path))
      if (missing !== undefined) throw notCached(repo, places, missing)
    },
  }
}

function* filesBelow(folder: string, prefix: string): Generator<string> {
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = prefix ? `${prefix}/${entry.name}` : entry.name
    if (entry.isDirectory()) yield* filesBelow(folder, path)
    else yield path
  }
}

/** What the branch stands for, for later runs without a connection. */
function rememberRevision(repo: Repository, commit: string, { cacheDir }: HubPlaces): void {
  if (repo.revision === commit || cachedCommit(cacheDir, repo) === commit) return
  const path = join(repositoryFolder(cacheDir, repo), 'refs', ...repo.revision.split('/'))
  try {
    makeFolder(dirname(path))
  } catch (cause) {
    throw fileError(cause, path, 'write')
  }
  writeFileAtomic(path, commit)
}

function counter({ onProgress }: HubOptions): (file: RemoteFile, done: number) => void {
  const state = new Map<string, { done: number; total: number }>()
  return ({ path, size }, done) => {
    state.set(path, { done: Math.max(done, state.get(path)?.done ?? 0), total: size })
    if (!onProgress) return
    let allDone = 0
    let allTotal = 0
    for (const one of state.values()) {
      allDone += one.done
      allTotal += one.total
    }
    onProgress({ file: path, done, total: size, allDone, allTotal })
  }
}

/** Stops at the first failure, after those already on their way have ended. */
async function inParallel<T>(items: readonly T[], limit: number, task: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  let failed = false
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined && !failed; item = queue.shift()) {
      try {
        await task(item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const results = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, worker))
  const rejected = results.find((result) => result.status === 'rejected')
  if (rejected) throw rejected.reason
}

function notCached(repo: Repository, { cacheDir }: HubPlaces, file?: string): SaqrError {
  const what = file === undefined ? `${repo.name} (revision ${repo.revision})` : `${file} of ${repo.name}`
  return new SaqrError(
    'HUB_NOT_CACHED',
    `${what} is not in the cache ${cacheDir}, and there is no connection (or HF_HUB_OFFLINE is set). Fetch it once with a connection.`,
  )
}

function noFile(repo: Repository, path: string): SaqrError {
  return new SaqrError('HUB_FILE', `${repo.name} has no file ${path} at revision ${repo.revision}.`)
}
