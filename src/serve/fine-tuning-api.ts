/** /v1/fine_tuning/jobs: OpenAI's jobs, which train on this machine. */
import { SaqrError } from '../error.ts'
import type { JsonObject } from '../formats/json.ts'
import type { JobEngine } from '../jobs/engine.ts'
import type { FineTuningJob } from '../jobs/objects.ts'
import { takeRequest } from '../jobs/request.ts'
import { ApiError, apiErrorOf, badParameter } from './api-error.ts'
import { pageOf } from './pages.ts'

/** POST /v1/fine_tuning/jobs @throws ApiError 400 naming the parameter */
export function createJob(jobs: JobEngine, body: JsonObject): FineTuningJob {
  // null is as if it were not there
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
  for (const name of ['model', 'training_file'])
    if (given[name] === undefined) throw badParameter(name, `a fine-tuning job needs ${name}`, 'missing_required_parameter')
  try {
    return jobs.create(takeRequest(given)).job
  } catch (error) {
    const code = error instanceof SaqrError ? CODES[error.code] : undefined
    if (code === undefined) throw apiErrorOf(error)
    const { message, option } = error as SaqrError
    throw new ApiError({ status: 400, code, message, param: option ?? null })
  }
}

const CODES: Readonly<Record<string, string>> = {
  OPTION_UNKNOWN: 'unknown_parameter',
  OPTION_REFUSED: 'unsupported_parameter',
  OPTION_INVALID: 'invalid_value',
  JOB_NOT_FOUND: 'invalid_value',
}

/** GET /v1/fine_tuning/jobs, newest first, of those with this metadata where the query asks for some @throws ApiError 400 */
export function listJobs(jobs: JobEngine, query: URLSearchParams) {
  const asked = [...query].flatMap(([name, value]) => {
    const [, key] = /^metadata\[(.+)\]$/s.exec(name) ?? []
    return key === undefined ? [] : [[key, value] as const]
  })
  const none = query.get('metadata') === 'null'
  const isMeant = ({ metadata }: FineTuningJob) =>
    (!none || metadata === null) &&
    asked.every(([key, value]) => metadata !== null && Object.hasOwn(metadata, key) && metadata[key] === value)
  return pageOf(jobs.records.map((record) => record.job).filter(isMeant), query)
}

/** what there is of a job, and what can be done with it: the last part of its path */
export const JOB_LISTS: Readonly<Record<string, (jobs: JobEngine, id: string, query: URLSearchParams) => unknown>> = {
  events: (jobs, id, query) => pageOf([...jobs.record(id).log.events].reverse(), query),
  checkpoints: (jobs, id, query) => pageOf(jobs.record(id).saved.checkpoints.toReversed(), query, { usual: 10 }),
}
export const JOB_ACTIONS: Readonly<Record<string, (jobs: JobEngine, id: string) => FineTuningJob>> = {
  cancel: (jobs, id) => jobs.cancel(id).job,
  pause: (jobs, id) => jobs.pause(id).job,
  resume: (jobs, id) => jobs.resume(id).job,
}
