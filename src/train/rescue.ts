/** A save that failed loses nothing: what was learned is written to the temporary folder instead, and the error says where it lies. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Message, SaqrError, say } from '../error.ts'

/**
 * @param save writes into a folder and returns what it wrote
 * @param then what to do with it
 * @returns the error to throw: what failed, where the run lies, what to do
 */
export async function rescue(
  cause: unknown,
  save: (folder: string) => Promise<string>,
  then: (path: string) => string | Message,
): Promise<SaqrError> {
  const { code, said: failed } =
    cause instanceof SaqrError ? cause : new SaqrError('FORMAT_FILE', `Saving failed: ${(cause as Error).message}`)
  // not every message is a sentence, and another one follows
  const said = /[.!?]$/.test(failed.spelled()) ? failed : say`${failed}.`
  let folder: string | undefined
  try {
    folder = mkdtempSync(join(tmpdir(), 'saqr-rescued-'))
    const path = await save(folder)
    return new SaqrError(code, say`${said} Nothing is lost: what was trained lies in ${path}. ${then(path)}`, { cause })
  } catch (second) {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    // what is wrong is no matter of the place
    if ((second as Error).message === failed.spelled()) return new SaqrError(code, failed, { cause })
    return new SaqrError(code, say`${said} The temporary folder ${tmpdir()} could not take it either: ${(second as Error).message}`, {
      cause,
    })
  }
}
