/** What is told of an error: what a user can mend by its code, and what is a mistake of ours. */
import { SaqrError } from '../error.ts'
import { notAllowed } from '../hub/permission.ts'

/** The error as users are told of it; undefined: a mistake of ours. */
export function told(error: unknown): SaqrError | undefined {
  return error instanceof SaqrError ? error : notAllowed(error)
}
