/** `saqr doctor --install_cuda`: says what would be fetched, asks, fetches. */
import { isUsable, visibleCards } from '../devices/cuda/cards.ts'
import { Compiler } from '../devices/cuda/compiler.ts'
import { Driver } from '../devices/cuda/driver.ts'
import { INDEX, type Installation, type InstallRequest, install, installation, LICENCE, sum } from '../devices/cuda/install.ts'
import { openLibrary } from '../devices/cuda/libraries.ts'
import { option, SaqrError, say } from '../error.ts'
import { shownOf } from '../hub/progress.ts'
import type { Io } from './verb.ts'

/**
 * @param major of the CUDA version of the drivers it is for; default: this machine's driver
 * @param yes nobody is asked
 * @returns whether the libraries are there now
 * @throws SaqrError DEVICE_CUDA_INSTALL, FORMAT_…
 */
export async function installCuda(major: number | undefined, yes: boolean, io: Io, request: InstallRequest = {}): Promise<boolean> {
  const { err } = io
  const here = major === undefined ? machine() : { major }
  const found = major === undefined ? paths(here) : undefined
  if (found) {
    err.write(`Nothing to install: NVIDIA's libraries are here already.\n${found.map((path) => `  ${path}\n`).join('')}`)
    return true
  }
  const todo = installation(here.major, request)
  if (todo.done) {
    if (major === undefined)
      throw new SaqrError(
        'DEVICE_CUDA_INSTALL',
        `${todo.folder} is there already, but its libraries can't be used, and \`saqr doctor\` says why. Remove it to have them fetched again.`,
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

/** What the libraries are for. */
interface Machine {
  /** of the CUDA version of its driver */
  major: number
  /** compute capability of the card that they have to compile for; absent: none is visible */
  arch?: number
}

/** @throws SaqrError where there is no driver, which says how to go on without one */
function machine(): Machine {
  try {
    const driver = new Driver()
    const arch = visibleCards(driver).find(isUsable)?.arch
    return { major: Math.floor(driver.version / 1000), ...(arch !== undefined && { arch }) }
  } catch (cause) {
    if (!(cause instanceof SaqrError) || cause.code !== 'DEVICE_CUDA_MISSING') throw cause
    throw new SaqrError(
      'DEVICE_CUDA_INSTALL',
      say`Nothing was fetched: there is no NVIDIA driver on this machine, and the libraries depend on its version. Install the driver first; or, for another machine's image, say the CUDA version of its driver: ${option('installCuda')} 13 or ${option('installCuda')} 12.`,
      { cause },
    )
  }
}

const open = ({ major, arch }: Machine) => [
  new Compiler({ newest: major, ...(arch !== undefined && { arch }) }).path,
  openLibrary('cublasLt', major).path,
]

/** where both libraries are found that serve this machine */
function paths(here: Machine): string[] | undefined {
  try {
    return open(here)
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
