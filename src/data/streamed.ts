/** What rows that stay on disk are not taken for. */
import { SaqrError } from '../error.ts'
import type { Dataset } from './dataset.ts'

/** @param done "mapped": completes "can't be …". @throws SaqrError OPTION_UNSUPPORTED */
export function requireInMemory(dataset: Dataset, done: string): void {
  if (!dataset.isStreamed) return
  throw new SaqrError(
    'OPTION_UNSUPPORTED',
    `${dataset.source}: rows that are streamed can't be ${done}: leave streaming out, or write the file as it should be.`,
  )
}
