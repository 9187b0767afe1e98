/** One file from the Hub into the cache: a blob under its hash, and in the snapshot's folder a link to it. */
import { createHash } from 'node:crypto'
import { lstatSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SaqrError } from '../error.ts'
import { hubFetch, networkError } from './client.ts'
import { exists, fileError, makeFolder } from './files.ts'
import { linkOrCopy } from './move.ts'
import type { HubOptions, HubPlaces } from './places.ts'
import { type Repository, repositoryFolder, snapshotFolder } from './repository.ts'
import { download, type Incoming } from './resume.ts'

export interface RemoteFile {
  path: string
  size: number
  /** name of its blob in the cache: sha256 of an LFS file, else git's sha1 */
  etag: string
}

/** Files on their way in this process, by blob: asking twice waits for one download. */
const running = new Map<string, Promise<void>>()

/** Makes `file` stand in the snapshot of `commit`. `onBytes` hears how many bytes of it are on disk. */
export async function fetchFile(
  file: RemoteFile,
  repo: Repository,
  commit: string,
  places: HubPlaces,
  options: HubOptions,
  onBytes: (done: number) => void,
): Promise<void> {
  const pointer = join(snapshotFolder(places.cacheDir, repo, commit), ...file.path.split('/'))
  if (exists(pointer)) return onBytes(file.size)
  const blob = join(repositoryFolder(places.cacheDir, repo), 'blobs', file.etag)
  if (!exists(blob)) {
    const coming = running.get(blob) ?? download(blob, incoming(file, { ...repo, revision: commit }, places), options, onBytes)
    running.set(blob, coming)
    try {
      await coming
    } finally {
      running.delete(blob)
    }
  }
  link(blob, pointer)
  onBytes(file.size)
}

/** A file of the Hub, and how its bytes are asked for. */
function incoming(file: RemoteFile, repo: Repository, places: HubPlaces): Incoming {
  let failure: unknown
  return {
    name: `${file.path} of ${repo.name}`,
    size: file.size,
    digest: file.etag,
    // sha256 of the content, or git's hash of a blob, whichever the file's name in the cache is
    hash: () => (file.etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${file.size}\0`)),
    from: places.hubUrl,
    codes: { damaged: 'HUB_CORRUPT', offline: 'HUB_OFFLINE' },
    async open(at, signal) {
      failure = undefined
      const request = hubFetch(places, repo, file.path, signal)
      const remembering: typeof fetch = async (input, init) => {
        try {
          return await request(input, init)
        } catch (error) {
          failure = error // the stream would pass on its text alone
          throw error
        }
      }
      const { downloadFile } = await import('@huggingface/hub')
      const content = await downloadFile({
        repo,
        path: file.path,
        revision: repo.revision,
        hubUrl: places.hubUrl,
        accessToken: places.token,
        fetch: remembering,
      })
      if (!content) throw new SaqrError('HUB_FILE', `${repo.name} has no file ${file.path} at revision ${repo.revision}.`)
      if (content.size !== file.size)
        throw new SaqrError(
          'HUB_CORRUPT',
          `${file.path} of ${repo.name} has ${content.size} bytes where ${file.size} were announced. Try again later.`,
        )
      return { start: at, stream: content.slice(at).stream() }
    },
    failure: (cause, signal) => networkError(failure ?? cause, places, repo, signal),
  }
}

function link(blob: string, pointer: string): void {
  try {
    makeFolder(dirname(pointer))
    if (lstatSync(pointer, { throwIfNoEntry: false })) rmSync(pointer) // a link to a blob that is gone
    linkOrCopy(blob, pointer)
  } catch (cause) {
    throw fileError(cause, pointer, 'write')
  }
}
