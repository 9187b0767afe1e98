/** What a client is told when a request fails: OpenAI's error object, and the status that its clients act on. */
import { SaqrError } from '../error.ts'

export interface ApiErrorFacts {
  status: number
  code: string
  message: string
  /** of the body, that it speaks of */
  param?: string | null
  headers?: Readonly<Record<string, string>>
}

export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly param: string | null
  readonly headers: Readonly<Record<string, string>>

  constructor({ status, code, message, param = null, headers = {} }: ApiErrorFacts) {
    super(message)
    this.status = status
    this.code = code
    this.param = param
    this.headers = headers
  }

  /** as OpenAI's API writes it */
  get body(): { error: { message: string; type: string; param: string | null; code: string } } {
    const type = this.status < 500 ? 'invalid_request_error' : 'server_error'
    return { error: { message: this.message, type, param: this.param, code: this.code } }
  }
}

/** A parameter that can't be had, by its name. */
export function badParameter(param: string, message: string, code = 'invalid_value'): ApiError {
  return new ApiError({ status: 400, code, message, param })
}

/** clients act on a status: those that can't go better are not tried again */
const AGAIN = { 'x-should-retry': 'false' }
const OF_JOBS: Readonly<Record<string, Omit<ApiErrorFacts, 'message'>>> = {
  JOB_NOT_FOUND: { status: 404, code: 'not_found' },
  JOB_STATE: { status: 400, code: 'invalid_state' },
  JOB_CLOSED: { status: 503, code: 'shutting_down' },
  JOB_FILE_TOO_LARGE: { status: 413, code: 'request_too_large' },
  FORMAT_DISK_FULL: { status: 507, code: 'disk_full', headers: AGAIN },
  FORMAT_PERMISSION: { status: 500, code: 'format_permission', headers: AGAIN },
}

const TOO_LONG = new Set(['TEXT_TOO_LONG', 'MEMORY_REFUSED'])

/**
 * Any failure as the client is told it. What is no SaqrError is a mistake of ours: the client is not shown its insides.
 * @param param that the request's text stands in
 */
export function apiErrorOf(error: unknown, param: string | null = null): ApiError {
  if (error instanceof ApiError) return error
  if (!(error instanceof SaqrError))
    return new ApiError({ status: 500, code: 'internal_error', message: 'the server failed; its terminal says more' })
  const { code, message } = error
  if (TOO_LONG.has(code)) return new ApiError({ status: 400, code: 'context_length_exceeded', message, param })
  const known = OF_JOBS[code]
  if (known) return new ApiError({ ...known, message, param: error.option ?? param })
  const caused = /^(OPTION|TEXT|DATA|FORMAT)_/.test(code) || code === 'MODEL_VOCABULARY'
  return new ApiError({ status: caused ? 400 : 500, code: code.toLowerCase(), message, param: caused ? (error.option ?? param) : null })
}
