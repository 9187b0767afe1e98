/** A run that a proof goes on without where it fails: what is done is worth more than the last of several runs. */
import { basename } from 'node:path'
import { SaqrError } from '../../error.ts'
import { makeFolder } from '../../hub/files.ts'

/** @returns its error, but where all is stopped. @param work its folder, which is made */
export async function ran<Side>(signal: AbortSignal, run: () => Promise<Side>, work: string): Promise<Side | Error> {
  try {
    makeFolder(work)
    return await run()
  } catch (error) {
    signal.throwIfAborted()
    return error instanceof Error ? error : new SaqrError('INTERNAL', String(error))
  }
}

/** @param log what Python said is there where Python ran */
export const whyNot = (error: Error, log: string): string =>
  error instanceof SaqrError && error.code === 'TRAIN_TRL' ? `${basename(log)} says why` : error.message
