/**
 * A folder to a repository on the Hub, as one commit. What lies there already by its hash isn't sent: neither files that the revision has, nor large ones
 * that an upload broken off had brought there. So the same call, made again, goes on.
 */
import { createHash } from 'node:crypto'
import { createReadStream, readdirSync, realpathSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { option, SaqrError, say } from '../error.ts'
import { patience, patiently } from './client.ts'
import { exists, isFile, isFolder } from './files.ts'
import { globMatcher } from './glob.ts'
import { type HubPlaces, type HubProgress, type HubWait, hubPlaces } from './places.ts'
import { pushFetch } from './push-errors.ts'
import { isCommit, type Repository, repository } from './repository.ts'
import { askHub } from './snapshot.ts'
import { within } from './within.ts'

export interface PushOptions {
  /** default: HF_TOKEN, or what `hf auth login` keeps; it must be allowed to write */
  token?: string
  /** of a repository that is made: true, false, or left out: as its owner's settings say. One that is there stays as it is */
  private?: boolean
  /** branch, made from main where there is none; default main */
  revision?: string
  /** first line of the commit; default: Upload NAME with saqr */
  commitMessage?: string
  /** patterns of paths below the folder that are uploaded alone (`*.gguf`), and that are not; checkpoints, hidden files, and what failed to be exported never are */
  include?: readonly string[]
  exclude?: readonly string[]
  hubUrl?: string
  signal?: AbortSignal
  onProgress?: (progress: HubProgress) => void
  /** hears of each failure that may pass, before it is tried again */
  onWait?: (wait: HubWait) => void
  /** first wait before a failed request is tried again, doubled each time (ms, default 1000) */
  retryDelay?: number
}

/** What an upload to the Hub came to. */
export interface Pushed {
  /** owner/name */
  repo: string
  /** page of the revision */
  url: string
  /** the commit; null: every file was there already */
  commit: string | null
  /** paths that the commit has */
  files: string[]
  /** paths that the revision had already, with the same content: they were not sent */
  unchanged: string[]
}

/** of a training run's folder: what goes on with it, and what trackers keep; of an export: what is no model */
const NEVER = ['checkpoint-*/**', '**/checkpoint-*/**', 'runs/**', 'wandb/**', 'mismatch/**', '**/*.mismatch*.gguf', '**/*.unchecked*.gguf', 'events.jsonl', 'reference_scores.jsonl', 'saqr_run.json'] // biome-ignore format: a list

const UNSENT = 'Nothing was uploaded: check the network, and run the command again.'
const BROKEN_OFF = 'What was uploaded stays there: the same command again goes on from it.'

interface LocalFile {
  path: string
  from: string
  size: number
}

/**
 * @param folder or one file
 * @param name owner/name; a name alone is the token's owner's
 * @throws SaqrError HUB_TOKEN, HUB_FORBIDDEN, HUB_NAME, HUB_NOT_FOUND, HUB_CONFLICT, HUB_RATE_LIMIT, HUB_SERVER, HUB_OFFLINE, FORMAT_…; the signal's reason
 */
export async function pushFolder(folder: string, name: string, options: PushOptions = {}): Promise<Pushed> {
  const files = filesOf(folder, options)
  const { repo, places } = await openRepository(name, options)
  const title = options.commitMessage ?? `Upload ${basename(resolve(folder))} with saqr`
  return await patiently(
    () => attempt(files, repo, places, title, options),
    options,
    () => false,
  )
}

/** The repository is there, with the revision, and the token may write to it: to be known before a long run. @throws SaqrError as `pushFolder` */
export async function openRepository(name: string, options: PushOptions = {}): Promise<{ repo: Repository; places: HubPlaces }> {
  const places = hubPlaces(options)
  if (places.offline)
    throw new SaqrError(
      'HUB_OFFLINE',
      'HF_HUB_OFFLINE is set, and an upload needs the Hub: unset it, or upload the folder later (saqr push).',
    )
  if (!places.token)
    throw new SaqrError(
      'HUB_TOKEN',
      say`An upload needs an access token that may write: log in (hf auth login), set HF_TOKEN, or give ${option('token')}. Make one at ${places.hubUrl}/settings/tokens.`,
    )
  const { createBranch, createRepo, whoAmI } = await import('@huggingface/hub')
  const revision = options.revision ?? 'main'
  if (isCommit(revision))
    throw new SaqrError('HUB_NAME', say`${option('revision')} ${revision} is a commit, which nothing can be added to: name a branch.`)
  const given = repository('model', name, revision)
  const request = (repo: Repository, subject: string) => ({
    ...{ hubUrl: places.hubUrl, accessToken: places.token! },
    fetch: pushFetch(places, repo, subject, UNSENT, beside(options.signal)),
  })
  // what is pushed took long: a host whose name isn't known is gone in passing
  const anew = () => false
  const owned = name.includes('/')
    ? given
    : { ...given, name: `${(await patiently(() => whoAmI(request(given, 'who the token is')), options, anew)).name}/${name}` }
  const visibility = options.private === undefined ? undefined : options.private ? 'private' : 'public'
  const id = { type: owned.type, name: owned.name } as const
  await thereAlready(() =>
    patiently(() => createRepo({ ...request(owned, 'the repository'), repo: id, ...(visibility && { visibility }) }), options, anew),
  )
  if (revision !== 'main')
    await thereAlready(() =>
      patiently(
        () => createBranch({ ...request(owned, `branch ${revision}`), repo: id, branch: revision, overwrite: true }),
        options,
        anew,
      ),
    )
  return { repo: owned, places }
}

/** 409 where it was to be made: it is there */
async function thereAlready(make: () => Promise<unknown>): Promise<void> {
  try {
    await make()
  } catch (error) {
    if (!(error instanceof SaqrError && error.code === 'HUB_CONFLICT')) throw error
  }
}

async function attempt(
  files: readonly LocalFile[],
  repo: Repository,
  places: HubPlaces,
  title: string,
  { signal, onProgress }: PushOptions,
): Promise<Pushed> {
  const { remote } = await askHub(repo, places, beside(signal))
  const [changed, unchanged]: LocalFile[][] = [[], []]
  for (const file of files) {
    const there = remote.get(file.path)
    const same = there !== undefined && there.size === file.size && (await hashLike(there.etag, file, signal)) === there.etag
    ;(same ? unchanged : changed)!.push(file)
  }
  const url = `${places.hubUrl}/${repo.name}${repo.revision === 'main' ? '' : `/tree/${repo.revision}`}`
  const made = (commit: string | null): Pushed => ({
    ...{ repo: repo.name, url, commit },
    files: changed!.map(({ path }) => path),
    unchanged: unchanged!.map(({ path }) => path),
  })
  if (changed!.length === 0) return made(null)
  const { commitIter } = await import('@huggingface/hub')
  const progress = counter(changed!, onProgress)
  const steps = commitIter({
    ...{ title, hubUrl: places.hubUrl, accessToken: places.token!, branch: repo.revision },
    repo: { type: repo.type, name: repo.name },
    operations: changed!.map(({ path, from }) => ({ operation: 'addOrUpdate' as const, path, content: pathToFileURL(from) })),
    fetch: pushFetch(places, repo, 'the upload', BROKEN_OFF, signal),
    useXet: false, // plain LFS, which every Hub takes
    ...(signal && { abortSignal: signal }),
  })
  for (;;) {
    const step = await steps.next().catch((error: unknown) => {
      signal?.throwIfAborted()
      throw error
    })
    if (step.done) {
      const oid = step.value?.commit.oid
      if (typeof oid !== 'string')
        throw new SaqrError('HUB_SERVER', `${places.hubUrl} names no commit for the upload. Is it a Hugging Face Hub?`)
      return made(oid)
    }
    if (step.value.event === 'fileProgress' && step.value.state === 'uploading') progress(step.value.path, step.value.progress)
  }
}

/** descriptions come soon or not at all */
const beside = (signal?: AbortSignal) => within(patience, signal)

/** sha256 of what LFS keeps, else git's hash of a blob */
async function hashLike(etag: string, { from, size }: LocalFile, signal?: AbortSignal): Promise<string> {
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
  for await (const chunk of createReadStream(from, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer)
    signal?.throwIfAborted()
  }
  return hash.digest('hex')
}

function counter(files: readonly LocalFile[], onProgress: PushOptions['onProgress']): (path: string, share: number) => void {
  const done = new Map(files.map(({ path, size }) => [path, { size, done: 0 }]))
  const allTotal = files.reduce((sum, { size }) => sum + size, 0)
  return (path, share) => {
    const file = done.get(path)
    if (!file || !onProgress) return
    file.done = Math.max(file.done, Math.round(share * file.size))
    const allDone = [...done.values()].reduce((sum, one) => sum + one.done, 0)
    onProgress({ file: path, done: file.done, total: file.size, allDone, allTotal })
  }
}

/** @throws SaqrError FORMAT_NOT_FOUND, OPTION_INVALID where nothing is left to upload */
function filesOf(folder: string, { include, exclude }: PushOptions): LocalFile[] {
  if (isFile(folder)) return [{ path: basename(folder), from: resolve(folder), size: statSync(folder).size }]
  if (!isFolder(folder))
    throw new SaqrError(
      'FORMAT_NOT_FOUND',
      `${folder} ${exists(folder) ? 'is neither a file nor a folder' : 'does not exist: name the folder of a model'}`,
    )
  const never = [...NEVER, ...(exclude ?? [])].map(globMatcher)
  const only = include?.map(globMatcher)
  const found = [...below(folder, '')].filter(
    (path) => !never.some((is) => is(path)) && (only === undefined || only.some((is) => is(path))),
  )
  if (found.length === 0)
    throw new SaqrError(
      'OPTION_INVALID',
      include || exclude
        ? say`${option('include')} and ${option('exclude')} leave nothing of ${folder} to upload`
        : `${folder} has no file to upload (checkpoints and hidden files are none)`,
    )
  return found.sort().map((path) => {
    const from = join(resolve(folder), ...path.split('/'))
    return { path, from, size: statSync(from).size }
  })
}

/** @param within the folders it is in, by their real paths: a link that leads back to one of them has nothing that isn't there already */
function* below(folder: string, prefix: string, within: readonly string[] = []): Generator<string> {
  const here = realpathSync(join(folder, prefix))
  if (within.includes(here)) return
  for (const { name } of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    if (name.startsWith('.')) continue
    const path = prefix ? `${prefix}/${name}` : name
    const whole = join(folder, path)
    if (isFolder(whole)) yield* below(folder, path, [...within, here])
    else if (isFile(whole)) yield path // links as what they lead to
  }
}
