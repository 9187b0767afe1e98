/** Files by their ids: each a folder with its bytes and what it is called, which appears whole or not at all. */
import { createReadStream, type ReadStream, readdirSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { readJsonObject } from '../formats/json.ts'
import { shown } from '../hub/arguments.ts'
import { fileError, isFileSystem, makeFolder, writeFileAtomic, writeFolderAtomic } from '../hub/files.ts'
import { closed, noSuch } from './errors.ts'
import { isId, newId } from './ids.ts'
import { type FileObject, now } from './objects.ts'

/** OpenAI's limit, bytes */
export const LARGEST_FILE = 512 * 2 ** 20
const LONGEST_NAME = 255

type Facts = Pick<FileObject, 'filename' | 'purpose'>

const CONTENT = 'content'
const FACTS = 'file.json'

export class FileStore {
  readonly #folder: string
  readonly #files = new Map<string, FileObject>()
  #closed = false

  /** @throws SaqrError FORMAT_… for a folder that can't be read or written */
  constructor(folder: string) {
    this.#folder = folder
    makeFolder(folder)
    for (const name of readdirSync(folder)) {
      // of an upload that a kill cut off
      if (!isId(name, 'file')) rmSync(join(folder, name), { recursive: true, force: true })
      else this.#files.set(name, readJsonObject(join(folder, name, FACTS)) as unknown as FileObject)
    }
  }

  /** newest first */
  list(): FileObject[] {
    return [...this.#files.values()].sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? -1 : 1))
  }

  /** @throws SaqrError JOB_NOT_FOUND */
  get(id: string, param?: string): FileObject {
    const found = this.#files.get(id)
    if (!found) throw noSuch('file', id, param)
    return found
  }

  /** @throws SaqrError JOB_NOT_FOUND */
  contentPath(id: string): string {
    return join(this.#folder, this.get(id).id, CONTENT)
  }

  /** @throws SaqrError JOB_NOT_FOUND */
  read(id: string): ReadStream {
    return createReadStream(this.contentPath(id))
  }

  /**
   * Takes bytes as they come, none of them held in memory.
   * @param facts asked for when all bytes are there
   * @param known of what has an id already: made anew, it takes its own place
   * @throws SaqrError JOB_CLOSED, JOB_FILE_TOO_LARGE, FORMAT_DISK_FULL …; whatever the bytes throw
   */
  async add(
    bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    facts: () => Facts | Promise<Facts>,
    known = newId('file'),
  ): Promise<FileObject> {
    this.#open()
    let own: unknown
    let made: FileObject | undefined
    try {
      await writeFolderAtomic(join(this.#folder, known), async (folder) => {
        try {
          const length = await writeBytes(join(folder, CONTENT), this.#whileOpen(bytes))
          const { filename, purpose } = await facts()
          this.#open()
          made = { id: known, object: 'file', bytes: length, created_at: now(), filename: nameOf(filename), purpose, status: 'processed' }
          writeFileAtomic(join(folder, FACTS), `${JSON.stringify(made)}\n`)
        } catch (error) {
          own = error
          throw error
        }
      })
    } catch (error) {
      throw own === undefined || isFileSystem(own) ? error : own
    }
    this.#files.set(known, made!)
    return made!
  }

  /** @throws SaqrError JOB_NOT_FOUND, JOB_CLOSED */
  delete(id: string): void {
    this.#open()
    rmSync(join(this.#folder, this.get(id).id), { recursive: true, force: true })
    this.#files.delete(id)
  }

  /** The folder may be another process's from here on: nothing is written there any more, by what is under way neither. */
  close(): void {
    this.#closed = true
  }

  #open(): void {
    if (this.#closed) throw closed()
  }

  async *#whileOpen(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const part of bytes) {
      this.#open()
      yield part
    }
  }
}

/** A file's bytes; it is opened when they are asked for, so that nothing is left open, or said to nobody, where that never comes. */
export async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path) as AsyncIterable<Uint8Array>
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
}

/** A path's last part, as browsers send it; control characters are none of a name. */
function nameOf(given: string): string {
  const last = given
    .split(/[/\\]/)
    .at(-1)!
    .replace(/\p{Cc}/gu, '')
  return last.slice(0, LONGEST_NAME) || 'file'
}

async function writeBytes(path: string, bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
  const file = await open(path, 'wx')
  let length = 0
  try {
    for await (const part of bytes) {
      if (!(part instanceof Uint8Array)) throw new SaqrError('OPTION_INVALID', `a file is made of bytes (Uint8Array), not ${shown(part)}`)
      length += part.length
      if (length > LARGEST_FILE)
        throw new SaqrError(
          'JOB_FILE_TOO_LARGE',
          `a file has at most ${LARGEST_FILE / 2 ** 20} MiB: train on a larger one with saqr sft or saqr dpo`,
        )
      for (let at = 0; at < part.length; ) at += (await file.write(part, at)).bytesWritten
    }
    await file.sync()
    return length
  } finally {
    await file.close()
  }
}
