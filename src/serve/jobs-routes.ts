/** Which part of files and jobs is asked for. */
import type { IncomingMessage } from 'node:http'
import type { JobEngine } from '../jobs/engine.ts'
import { ApiError } from './api-error.ts'
import { readBody } from './body.ts'
import { listFiles, uploadFile } from './files-api.ts'
import { createJob, JOB_ACTIONS, JOB_LISTS, listJobs } from './fine-tuning-api.ts'
import { allow } from './methods.ts'
import type { Reply } from './reply.ts'

export interface Asked {
  request: IncomingMessage
  path: string
  query: URLSearchParams
  reply: Reply
}

/** @returns false: the path is none of theirs @throws ApiError, SaqrError */
export async function routeJobs(jobs: JobEngine, { request, path, query, reply }: Asked): Promise<boolean> {
  const [, kind, id, part, more] = /^\/v1\/(files|fine_tuning\/jobs)(?:\/([^/]+))?(?:\/([^/]+))?(\/.*)?$/s.exec(path) ?? []
  if (kind === undefined || more !== undefined) return false
  if (kind === 'files') {
    const { files } = jobs
    if (id === undefined) {
      const method = allow(request, 'GET', 'POST')
      reply.json(method === 'GET' ? listFiles(files, query) : await uploadFile(files, request))
    } else if (part === undefined) {
      if (allow(request, 'GET', 'DELETE') === 'GET') reply.json(files.get(id))
      else {
        files.delete(id)
        reply.json({ id, object: 'file', deleted: true })
      }
    } else if (part === 'content') {
      allow(request, 'GET')
      await reply.stream(files.get(id).bytes, files.read(id))
    } else return false
    return true
  }
  if (id === undefined) {
    const method = allow(request, 'GET', 'POST')
    reply.json(method === 'GET' ? listJobs(jobs, query) : createJob(jobs, await readBody(request)))
  } else if (part === undefined) {
    allow(request, 'GET')
    reply.json(jobs.record(id).job)
  } else if (Object.hasOwn(JOB_LISTS, part)) {
    allow(request, 'GET')
    reply.json(JOB_LISTS[part]!(jobs, id, query))
  } else if (Object.hasOwn(JOB_ACTIONS, part)) {
    allow(request, 'POST')
    reply.json(JOB_ACTIONS[part]!(jobs, id))
  } else return false
  return true
}

/** Beside them, and not served. */
export const NO_PART: readonly [path: RegExp, why: string][] = [
  [/^\/v1\/uploads(\/|$)/, 'files come in one piece: POST /v1/files'],
  [/^\/v1\/fine_tuning\/(checkpoints|alpha)(\/|$)/, 'checkpoints have no permissions here, and no grader runs'],
]

export const notServed = (why: string): ApiError => new ApiError({ status: 404, code: 'unsupported_endpoint', message: why })
