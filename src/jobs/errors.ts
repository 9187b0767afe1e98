/** What jobs are refused with. */
import { option, SaqrError, say } from '../error.ts'
import { shown } from '../hub/arguments.ts'

/** Of a file, job or model that is not there. */
export function noSuch(what: 'file' | 'job' | 'model', id: unknown, of?: string): SaqrError {
  const message = say`there is no ${what} ${shown(id)}${what === 'job' ? ' here: list() has those there are' : ' here'}`
  return new SaqrError('JOB_NOT_FOUND', of === undefined ? message : say`${option(of)}: ${message}`)
}

/** Of what a job's or file's state does not allow now. */
export const notNow = (message: string): SaqrError => new SaqrError('JOB_STATE', message)

export const closed = (): SaqrError => new SaqrError('JOB_CLOSED', 'these jobs were closed: open their folder again')

/** A disk that takes nothing more: what was there is unchanged, so that a job can go on. */
export const isDiskFull = (error: unknown): boolean => error instanceof SaqrError && error.code === 'FORMAT_DISK_FULL'
