/** The .wandb file of a run: made, or gone on with where the run goes on. */
import { readFileSync } from 'node:fs'
import { exists } from '../../hub/files.ts'
import { growingFile } from '../append.ts'
import { framed, HEADER, recordsOf } from './log.ts'
import { type Read, read, record } from './records.ts'

export interface WandbFile {
  /** what was logged before, in order */
  readonly before: readonly Read[]
  write(content: Uint8Array): void
  close(): void
}

/**
 * An exit in it is taken back: it is written again when the run ends.
 * @param id of the run
 */
export function wandbFile(path: string, id: string): WandbFile {
  const records = (exists(path) ? recordsOf(readFileSync(path)) : null) ?? []
  const before = records.map(({ content }) => read(content))
  const end = before.findIndex(({ kind }) => kind === 'exit')
  const kept = end < 0 ? records.length : end
  let at = records[kept - 1]?.to ?? 0
  let number = kept
  const file = growingFile(path, 'wandb', at)
  const append = (bytes: Uint8Array) => {
    file.write(bytes)
    at += bytes.length
  }
  return {
    before: before.slice(0, kept),
    write(content) {
      if (at === 0) append(HEADER)
      append(framed(record(++number, content, id), at))
    },
    close: file.close,
  }
}
