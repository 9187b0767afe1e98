/** /v1/files: what jobs train on, and their results. */
import type { IncomingMessage } from 'node:http'
import { type FileStore, LARGEST_FILE } from '../jobs/file-store.ts'
import type { FileObject } from '../jobs/objects.ts'
import { ApiError, badParameter } from './api-error.ts'
import { type FormPart, formParts, textOf } from './multipart.ts'
import { pageOf } from './pages.ts'

/** bytes of a form beside its file */
const AROUND = 2 ** 20

/** GET /v1/files @throws ApiError 400 */
export function listFiles(files: FileStore, query: URLSearchParams) {
  const order = query.get('order') ?? 'desc'
  if (order !== 'asc' && order !== 'desc') throw badParameter('order', 'order: expected asc or desc')
  const purpose = query.get('purpose')
  const list = files.list().filter((file) => purpose === null || file.purpose === purpose)
  return pageOf(order === 'asc' ? list.reverse() : list, query, { usual: 10_000, most: 10_000 })
}

/** POST /v1/files: the file goes to the disk as it arrives, whatever part of the form it is. @throws ApiError 400, 413; SaqrError JOB_…, FORMAT_DISK_FULL … */
export async function uploadFile(files: FileStore, request: IncomingMessage): Promise<FileObject> {
  if (Number(request.headers['content-length'] ?? 0) > LARGEST_FILE + AROUND) throw tooLarge()
  const parts = formParts(request)
  try {
    return await fileOf(files, parts)
  } finally {
    await parts.return(undefined)
  }
}

async function fileOf(files: FileStore, parts: AsyncGenerator<FormPart>): Promise<FileObject> {
  const fields = new Map<string, string>()
  for (let next = await parts.next(); !next.done; next = await parts.next()) {
    const part = next.value
    if (part.name !== 'file') await takeField(fields, part)
    else {
      if (part.filename === null) throw badParameter('file', 'file: expected a file, with a filename')
      const { filename } = part
      return await files.add(part.bytes, async () => {
        for await (const later of parts) {
          if (later.name === 'file') throw badParameter('file', 'file: one file at a time')
          await takeField(fields, later)
        }
        checkFields(fields)
        return { filename, purpose: 'fine-tune' }
      })
    }
  }
  throw badParameter('file', 'a file is missing', 'missing_required_parameter')
}

async function takeField(fields: Map<string, string>, part: FormPart): Promise<void> {
  if (fields.has(part.name)) throw badParameter(part.name.slice(0, 60), `${part.name.slice(0, 60)} is given twice`)
  fields.set(part.name, await textOf(part))
}

function checkFields(fields: ReadonlyMap<string, string>): void {
  const purpose = fields.get('purpose')
  if (purpose === undefined) throw badParameter('purpose', 'a purpose is missing: fine-tune', 'missing_required_parameter')
  if (purpose !== 'fine-tune')
    throw badParameter(
      'purpose',
      `purpose ${JSON.stringify(purpose.slice(0, 60))}: files are for fine-tune here, and for nothing else`,
      'unsupported_parameter',
    )
  const other = [...fields.keys()].find((name) => name !== 'purpose')
  if (other === undefined) return
  const name = other.slice(0, 60)
  if (/^expires_after/.test(other))
    throw badParameter('expires_after', 'expires_after: files stay until they are deleted; leave it out', 'unsupported_parameter')
  throw badParameter(name, `files have no parameter ${JSON.stringify(name)}: there are file and purpose`, 'unknown_parameter')
}

const tooLarge = () => new ApiError({ status: 413, code: 'request_too_large', message: `a file has at most ${LARGEST_FILE / 2 ** 20} MiB` })
