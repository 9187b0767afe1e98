/** `saqr doctor --install_cuda`: says what would be fetched, asks, fetches. */
import { Driver } from '../devices/cuda/driver.ts'
import { INDEX, type Installation, type InstallRequest, install, installation, LICENCE, sum } from '../devices/cuda/install.ts'
import { type LibraryName, openLibrary } from '../devices/cuda/libraries.ts'
import { option, SaqrError, say } from '../error.ts'
import { shownOf } from '../hub/progress.ts'
import type { Io } from './verb.ts'

const LIBRARIES: readonly LibraryName[] = ['nvrtc', 'cublasLt']

/**
 * @param major of the CUDA version of the drivers it is for; default: this machine's driver
 * @param yes nobody is asked
 * @returns whether the libraries are there now
 * @throws SaqrError DEVICE_CUDA_INSTALL, FORMAT_…
 */
export async function installCuda(major: number | undefined, yes: boolean, io: Io, request: InstallRequest = {}): Promise<boolean> {
  const { err } = io
  const found = major === undefined ? paths(driverMajor()) : undefined
  if (found) {
    err.write(`Nothing to install: NVIDIA's libraries are here already.\n${found.map((path) => `  ${path}\n`).join('')}`)
    return true
  }
  const todo = installation(major ?? driverMajor(), request)
  if (todo.done) {
    if (major === undefined)
      throw new SaqrError(
        'DEVICE_CUDA_INSTALL',
        `${todo.folder} is there already, but its libraries can't be loaded. Remove it to have them fetched again.`,
      )
    err.write(`Nothing to install: ${todo.folder} is there already.\n`)
    return true
  }
  err.write(offer(todo, request.index ?? INDEX))
  if (!yes) {
    if (!io.ask)
      throw new SaqrError(
        'DEVICE_CUDA_INSTALL',
        say`Nothing was fetched: nobody can answer here. Give ${option('yes')} to fetch it and accept the licence.`,
      )
    if (!/^y(es)?$/i.test((await io.ask('Fetch them and accept this licence? [y/N] ')).trim())) {
      err.write('Nothing was fetched.\n')
      return false
    }
  }
  const { signal } = io
  try {
    await install(todo, { ...request, signal, ...shownOf(err) })
  } catch (error) {
    if (signal.aborted) err.write('Nothing was installed. What was fetched is kept, and the same command goes on from there.\n')
    throw error
  }
  err.write(`Installed in ${todo.folder}\n`)
  return true
}

/** @throws SaqrError where there is no driver, which says how to go on without one */
function driverMajor(): number {
  try {
    return Math.floor(new Driver().version / 1000)
  } catch (cause) {
    if (!(cause instanceof SaqrError) || cause.code !== 'DEVICE_CUDA_MISSING') throw cause
    throw new SaqrError(
      'DEVICE_CUDA_INSTALL',
      say`Nothing was fetched: there is no NVIDIA driver on this machine, and the libraries depend on its version. Install the driver first; or, for another machine's image, say the CUDA version of its driver: ${option('installCuda')} 13 or ${option('installCuda')} 12.`,
      { cause },
    )
  }
}

/** where both libraries are found for a driver of this version */
function paths(major: number): string[] | undefined {
  try {
    return LIBRARIES.map((name) => openLibrary(name, major).path)
  } catch (error) {
    if (error instanceof SaqrError && error.code === 'DEVICE_CUDA_LIBRARY') return undefined
    throw error
  }
}

function offer({ release, wheels, folder }: Installation, index: string): string {
  const width = Math.max(...wheels.map((wheel) => `${wheel.package} ${wheel.version}`.length))
  return [
    `NVIDIA's libraries of CUDA ${release.version}, for drivers of CUDA ${release.major} and later, from ${new URL(index).origin}:`,
    ...wheels.map((wheel) => `  ${`${wheel.package} ${wheel.version}`.padEnd(width)}  ${megabytes(wheel.bytes)}`),
    `${megabytes(sum(wheels, 'bytes'))} to fetch; ${megabytes(sum(wheels, 'kept'))} in ${folder}`,
    `They are NVIDIA's, under ${LICENCE.name}: ${LICENCE.address}`,
    '',
  ].join('\n')
}

const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`
