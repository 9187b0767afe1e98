/** Which methods of HTTP a path has. */
import type { IncomingMessage } from 'node:http'
import { ApiError } from './api-error.ts'

/** @throws ApiError 405 */
export function allow<M extends string>({ method }: IncomingMessage, ...only: M[]): M {
  if (only.includes(method as M)) return method as M
  throw new ApiError({
    status: 405,
    code: 'method_not_allowed',
    message: `only ${only.join(' and ')} ${only.length > 1 ? 'are' : 'is'} answered here, not ${method}`,
    headers: { allow: only.join(', ') },
  })
}
