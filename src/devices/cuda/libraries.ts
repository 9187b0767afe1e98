/**
 * Finds NVIDIA's libraries without being told: the driver where the system keeps it, NVRTC and cuBLASLt in CUDA_HOME or CUDA_PATH, the usual
 * toolkit folders, the active Python environment (NVIDIA's wheels put them in site-packages/nvidia) and the loader's own path.
 */
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { option, SaqrError, say } from '../../error.ts'
import { ffi, type Library } from '../ffi.ts'

/** newest first; a library of a newer major version than the driver's can't be used */
const MAJORS = [13, 12]

export type LibraryName = 'nvrtc' | 'cublasLt'

const WHEELS: Record<LibraryName, { package: string; folder: string }> = {
  nvrtc: { package: 'nvidia-cuda-nvrtc', folder: 'cuda_nvrtc' },
  cublasLt: { package: 'nvidia-cublas', folder: 'cublas' },
}

function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

function toolkitFolders(): string[] {
  const roots = [process.env.CUDA_HOME, process.env.CUDA_PATH].filter((p) => p !== undefined && p !== '') as string[]
  const installed = list('/usr/local')
    .filter((name) => name === 'cuda' || name.startsWith('cuda-'))
    .sort((a, b) => b.localeCompare(a, undefined, { numeric: true }))
  for (const name of installed) roots.push(join('/usr/local', name))
  return roots.flatMap((root) => ['lib64', 'lib', 'targets/x86_64-linux/lib', 'bin'].map((sub) => join(root, sub)))
}

/** site-packages of the environment that `python3` on the PATH, VIRTUAL_ENV or CONDA_PREFIX name */
function sitePackages(): string[] {
  const environments = [process.env.VIRTUAL_ENV, process.env.CONDA_PREFIX].filter((p) => p !== undefined && p !== '') as string[]
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
  const majors = MAJORS.filter((m) => m <= newestMajor)
  const wheels = sitePackages().flatMap((site) =>
    [...majors.map((m) => `cu${m}`), WHEELS[name].folder].map((f) => join(site, 'nvidia', f, 'lib')),
  )
  const files = (folder: string) => majors.map((m) => join(folder, `lib${name}.so.${m}`))
  return [...[...toolkitFolders(), ...wheels].flatMap(files).filter(existsSync), ...majors.map((m) => `lib${name}.so.${m}`)]
}

/** @throws SaqrError DEVICE_CUDA_LIBRARY, which says what to install */
export function openLibrary(name: LibraryName, newestMajor?: number): { library: Library; path: string } {
  for (const path of candidates(name, newestMajor)) {
    try {
      return { library: ffi().load(path), path }
    } catch {
      // not there, or not loadable: the next candidate
    }
  }
  throw new SaqrError(
    'DEVICE_CUDA_LIBRARY',
    `Found no lib${name} of CUDA ${(newestMajor ?? MAJORS[0]!) >= 13 ? '12 or 13' : '12'}: install NVIDIA's CUDA toolkit, or \`pip install ${WHEELS[name].package}\` in the active Python environment, or set CUDA_HOME to where it is.`,
  )
}

const DRIVERS =
  process.platform === 'win32' ? ['nvcuda.dll'] : ['libcuda.so.1', '/usr/lib/wsl/lib/libcuda.so.1', '/usr/local/nvidia/lib64/libcuda.so.1']

/** @throws SaqrError DEVICE_CUDA_MISSING where no NVIDIA driver is installed */
export function openDriver(): Library {
  for (const path of DRIVERS) {
    try {
      return ffi().load(path)
    } catch {
      // the next one
    }
  }
  throw new SaqrError(
    'DEVICE_CUDA_MISSING',
    say`No NVIDIA driver on this machine (${DRIVERS[0]} can't be loaded): install it, or use the CPU with ${option('device')} cpu.`,
  )
}
