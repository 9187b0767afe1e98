/**
 * Finds NVIDIA's libraries without being told: the driver where the system keeps it; NVRTC and cuBLASLt in CUDA_HOME or CUDA_PATH, which
 * somebody set; where `saqr doctor --install-cuda` put them, which somebody asked for and no shell or environment changes; then where they
 * happen to lie: the usual toolkit folders, the active Python environment (NVIDIA's wheels put them in site-packages/nvidia, conda's packages in lib),
 * the loader's path.
 */
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { option, SaqrError, say } from '../../error.ts'
import { cacheFolder } from '../../hub/places.ts'
import { ffi, type Library } from '../ffi.ts'
import { RELEASES, type Release } from './wheels.ts'

/** newest first; a library of a newer major version than the driver's can't be used */
const MAJORS = RELEASES.map(({ major }) => major)

export type LibraryName = 'nvrtc' | 'cublasLt'

/** where NVIDIA's wheels for CUDA 12 have it; those for 13 share one folder */
const WHEEL_FOLDER: Record<LibraryName, string> = { nvrtc: 'cuda_nvrtc', cublasLt: 'cublas' }

/** what NVIDIA calls the library's file for a major version of CUDA */
export function fileName(name: LibraryName, major: number, platform: NodeJS.Platform = process.platform): string {
  if (platform !== 'win32') return `lib${name}.so.${major}`
  return name === 'nvrtc' ? `nvrtc64_${major}0_0.dll` : `${name}64_${major}.dll`
}

/** what NVRTC of a version asks the loader for when it compiles: the headers it has built in */
export function builtinsName(major: number, minor: number, platform: NodeJS.Platform = process.platform): string {
  return platform === 'win32' ? `nvrtc-builtins64_${major}${minor}.dll` : `libnvrtc-builtins.so.${major}.${minor}`
}

/** where `saqr doctor --install-cuda` puts a release */
export function installFolder({ version }: Release, cache = cacheFolder()): string {
  return join(cache, 'cuda-libraries', version)
}

function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

const set = (...names: string[]) => names.map((name) => process.env[name]).filter((p) => p !== undefined && p !== '') as string[]

function toolkits(): string[] {
  return list('/usr/local')
    .filter((name) => name === 'cuda' || name.startsWith('cuda-'))
    .sort((a, b) => b.localeCompare(a, undefined, { numeric: true }))
    .map((name) => join('/usr/local', name))
}

/** where a toolkit, or conda's packages of one, keeps its libraries */
function librariesOf(root: string): string[] {
  return ['lib64', 'lib', 'targets/x86_64-linux/lib', 'targets/sbsa-linux/lib', 'bin', 'bin/x64', 'Library/bin'].map((sub) =>
    join(root, sub),
  )
}

/** roots of the environments that VIRTUAL_ENV, CONDA_PREFIX or `python3` on the PATH name */
function environments(): string[] {
  const found = set('VIRTUAL_ENV', 'CONDA_PREFIX')
  const onPath = (process.env.PATH ?? '').split(delimiter).find((folder) => existsSync(join(folder, 'python3')))
  return onPath ? [...found, dirname(onPath)] : found
}

/** site-packages of these environments */
function sitePackages(): string[] {
  return environments().flatMap((root) => {
    const lib = join(root, 'lib')
    const versions = list(lib).filter((name) => name.startsWith('python3'))
    return versions.flatMap((name) => [join(lib, name, 'site-packages'), join(lib, name, 'dist-packages')])
  })
}

/** what was fetched; nothing where no home is known */
function installed(releases: readonly Release[]): string[] {
  try {
    return releases.map((release) => installFolder(release))
  } catch {
    return []
  }
}

/** Files that may hold the library, best first; the last ones are left to the loader. */
export function candidates(name: LibraryName, newestMajor = MAJORS[0]!): string[] {
  const releases = RELEASES.filter(({ major }) => major <= newestMajor)
  const majors = releases.map(({ major }) => major)
  const wheels = sitePackages().flatMap((site) =>
    [...majors.map((m) => `cu${m}`), WHEEL_FOLDER[name]].map((f) => join(site, 'nvidia', f, 'lib')),
  )
  const folders = [
    ...set('CUDA_HOME', 'CUDA_PATH').flatMap(librariesOf),
    ...installed(releases),
    ...toolkits().flatMap(librariesOf),
    ...wheels,
    ...set('CONDA_PREFIX').flatMap(librariesOf),
  ]
  const files = majors.map((m) => fileName(name, m))
  return [...folders.flatMap((folder) => files.map((file) => join(folder, file))).filter(existsSync), ...files]
}

/** held: a library that nobody refers to may be unloaded */
const held: Library[] = []

/** NVRTC asks the loader for its built-in headers by name alone, and so finds them in a folder of its own only if they are loaded already. */
function loadBeside(path: string): void {
  const [, major] = /nvrtc(?:\.so\.|64_)(1\d)[\w.]*$/.exec(path) ?? []
  if (!major || dirname(path) === '.') return
  const builtins = new RegExp(`^(libnvrtc-builtins\\.so\\.${major}\\.\\d+|nvrtc-builtins64_${major}\\d\\.dll)$`)
  for (const file of list(dirname(path))) if (builtins.test(file)) held.push(ffi().load(join(dirname(path), file)))
}

/**
 * The first of the candidates that can be loaded and serves.
 * @param unfit why a library that was loaded is of no use, or null: 'knows no sm_120'
 * @throws SaqrError DEVICE_CUDA_LIBRARY, which says what was found, why it wasn't taken and what to install
 */
export function openLibrary(
  name: LibraryName,
  newestMajor?: number,
  unfit: (library: Library) => string | null = () => null,
): { library: Library; path: string } {
  const refused: string[] = []
  for (const path of candidates(name, newestMajor)) {
    const { library, why, loaded } = tried(path, unfit)
    if (library) return { library, path }
    // what the loader finds by name alone may not be there
    if (loaded || isAbsolute(path)) refused.push(`${path} ${why}`)
  }
  const file = fileName(name, MAJORS.find((m) => m <= (newestMajor ?? m)) ?? MAJORS.at(-1)!)
  throw new SaqrError(
    'DEVICE_CUDA_LIBRARY',
    say`Found no ${file} that can be used, which a CUDA card needs${refused.length > 0 ? ` (${refused.join('; ')})` : ''}: \`saqr doctor --install-cuda\` fetches it from NVIDIA's packages. Where a CUDA toolkit is installed already, set CUDA_HOME to its folder. ${option('device')} cpu goes on without the card.`,
  )
}

/** the library, or why it isn't taken, and whether it was there at all */
function tried(path: string, unfit: (library: Library) => string | null): { library?: Library; why?: string; loaded: boolean } {
  let loaded = false
  try {
    loadBeside(path)
    const library = ffi().load(path)
    loaded = true
    const why = unfit(library)
    return why === null ? { library, loaded } : { why, loaded }
  } catch (cause) {
    return { why: `can't be loaded: ${(cause as Error).message}`, loaded }
  }
}

/** where systems keep the driver's libraries that the loader's own path doesn't lead to: WSL, Kubernetes, NixOS */
const DRIVER_FOLDERS = ['/usr/lib/wsl/lib', '/usr/local/nvidia/lib64', '/run/opengl-driver/lib']

/** A library of the driver's, as the loader finds it, then where systems keep it. */
export const driverLibrary = (name: string, onWindows: string, platform: NodeJS.Platform = process.platform): string[] =>
  platform === 'win32' ? [onWindows] : [name, ...DRIVER_FOLDERS.map((folder) => `${folder}/${name}`)]

const DRIVERS = driverLibrary('libcuda.so.1', 'nvcuda.dll')

/** @throws SaqrError DEVICE_CUDA_MISSING where no NVIDIA driver is installed, DEVICE_FFI where no library at all can be called */
export function openDriver(): Library {
  const calls = ffi()
  for (const path of DRIVERS) {
    try {
      return calls.load(path)
    } catch {
      // the next one
    }
  }
  throw new SaqrError(
    'DEVICE_CUDA_MISSING',
    say`No NVIDIA driver on this machine (${DRIVERS[0]} can't be loaded): install it, or use the CPU with ${option('device')} cpu.`,
  )
}
