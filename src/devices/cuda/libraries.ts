/**
 * Finds NVIDIA's libraries without being told: the driver where the system keeps it; NVRTC and cuBLASLt in CUDA_HOME or CUDA_PATH, which
 * somebody set; where `saqr doctor --install-cuda` put them, which somebody asked for and no shell or environment changes; then where they
 * happen to lie: the usual toolkit folders, the active Python environment (NVIDIA's wheels put them in site-packages/nvidia), the loader's path.
 */
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
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

/** where a toolkit keeps its libraries */
function librariesOf(root: string): string[] {
  return ['lib64', 'lib', 'targets/x86_64-linux/lib', 'targets/sbsa-linux/lib', 'bin', 'bin/x64'].map((sub) => join(root, sub))
}

/** site-packages of the environment that `python3` on the PATH, VIRTUAL_ENV or CONDA_PREFIX name */
function sitePackages(): string[] {
  const environments = set('VIRTUAL_ENV', 'CONDA_PREFIX')
  const onPath = (process.env.PATH ?? '').split(delimiter).find((folder) => existsSync(join(folder, 'python3')))
  if (onPath) environments.push(dirname(onPath))
  return environments.flatMap((root) => {
    const lib = join(root, 'lib')
    const versions = list(lib).filter((name) => name.startsWith('python3'))
    return versions.flatMap((name) => [join(lib, name, 'site-packages'), join(lib, name, 'dist-packages')])
  })
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
    ...releases.map((release) => installFolder(release)),
    ...toolkits().flatMap(librariesOf),
    ...wheels,
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

/** @throws SaqrError DEVICE_CUDA_LIBRARY, which says what to install */
export function openLibrary(name: LibraryName, newestMajor?: number): { library: Library; path: string } {
  for (const path of candidates(name, newestMajor)) {
    try {
      loadBeside(path)
      return { library: ffi().load(path), path }
    } catch {
      // not there, or not loadable: the next candidate
    }
  }
  throw new SaqrError(
    'DEVICE_CUDA_LIBRARY',
    say`Found no ${fileName(name, MAJORS.find((m) => m <= (newestMajor ?? m)) ?? MAJORS.at(-1)!)}, which a CUDA card needs: \`saqr doctor --install-cuda\` fetches it from NVIDIA's packages. Where a CUDA toolkit is installed already, set CUDA_HOME to its folder. ${option('device')} cpu goes on without the card.`,
  )
}

const DRIVERS =
  process.platform === 'win32' ? ['nvcuda.dll'] : ['libcuda.so.1', '/usr/lib/wsl/lib/libcuda.so.1', '/usr/local/nvidia/lib64/libcuda.so.1']

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
