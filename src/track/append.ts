/** A file of a tracker's, which grows while a run goes; what is written is in it at once, whatever becomes of the process. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { makeFolder } from '../hub/files.ts'

export interface GrowingFile {
  write(content: string | Uint8Array): void
  close(): void
}

/**
 * Opened by the first write.
 * @param tracker as report_to calls it
 * @param from bytes of the file that stay; default: all
 * @throws SaqrError TRAIN_LOG where it can't be written
 */
export function growingFile(path: string, tracker: string, from?: number): GrowingFile {
  let file: number | undefined
  return {
    write(content) {
      try {
        if (file === undefined) {
          makeFolder(dirname(path))
          file = openSync(path, 'a')
          if (from !== undefined) ftruncateSync(file, from)
        }
        const bytes = typeof content === 'string' ? Buffer.from(content) : content
        for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
      } catch (cause) {
        throw new SaqrError(
          'TRAIN_LOG',
          say`${path}: can't be written (${(cause as Error).message}); make room or leave ${option('reportTo')} ${tracker} out`,
          { cause },
        )
      }
    },
    close() {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}
