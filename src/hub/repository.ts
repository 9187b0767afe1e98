/** What a name refers to on the Hub, and its place in the cache: `models--owner--name/{blobs,refs,snapshots}` as Python lays it out. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { isFolder } from './files.ts'

export interface Repository {
  type: 'model' | 'dataset'
  /** owner/name, or a name alone */
  name: string
  revision: string
}

const part = '[A-Za-z0-9_](?:[\\w.-]*[\\w-])?'
const repositoryName = new RegExp(`^${part}(?:/${part})?$`)

/** Hub's rules for a name: at most 96 characters, none of `--`, `..`, `.git`. */
export function isRepositoryName(name: string): boolean {
  return name.length <= 96 && repositoryName.test(name) && !/--|\.\.|\.git$/.test(name)
}

export const isCommit = (revision: string) => /^[0-9a-f]{40}$/.test(revision)

export function repository(type: Repository['type'], name: string, revision = 'main'): Repository {
  if (!isRepositoryName(name))
    throw new SaqrError('HUB_NAME', `${JSON.stringify(name)} is neither a file or folder here nor a name on the Hub (owner/name).`)
  if (!/^[\w./-]+$/.test(revision) || revision.split('/').some((p) => p === '..' || p === '.' || p === '')) {
    throw new SaqrError('HUB_NAME', `${JSON.stringify(revision)} is no branch, tag or commit.`)
  }
  return { type, name, revision }
}

export function repositoryFolder(cacheDir: string, { type, name }: Repository): string {
  return join(cacheDir, [`${type}s`, ...name.split('/')].join('--'))
}

/** The commit a branch or tag stood for when it was last asked for. */
export function cachedCommit(cacheDir: string, repo: Repository): string | undefined {
  if (isCommit(repo.revision)) return repo.revision
  try {
    const commit = readFileSync(join(repositoryFolder(cacheDir, repo), 'refs', repo.revision), 'utf8').trim()
    return isCommit(commit) ? commit : undefined
  } catch {
    return undefined // never asked for
  }
}

export function snapshotFolder(cacheDir: string, repo: Repository, commit: string): string {
  return join(repositoryFolder(cacheDir, repo), 'snapshots', commit)
}

/** The folder of the cached revision, where there is one. */
export function cachedSnapshot(cacheDir: string, repo: Repository): string | undefined {
  const commit = cachedCommit(cacheDir, repo)
  const folder = commit && snapshotFolder(cacheDir, repo, commit)
  return folder && isFolder(folder) ? folder : undefined
}

/** A repository's file names come from others: none may lead out of its snapshot. */
export function checkFileName(file: string, repo: Repository): string {
  if (file === '' || /[\\:\0]/.test(file) || file.split('/').some((p) => p === '' || p === '.' || p === '..')) {
    throw new SaqrError('HUB_NAME', `${repo.name} has a file named ${JSON.stringify(file)}, which leads out of its folder.`)
  }
  return file
}
