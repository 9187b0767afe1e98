/** A request's body: bounded, UTF-8, a JSON object that is not nested beyond reason. */
import type { IncomingMessage } from 'node:http'
import { isObject, type JsonObject } from '../formats/json.ts'
import { parseExactly } from '../formats/json-exact.ts'
import { ApiError } from './api-error.ts'

/** bytes: the longest contexts there are, as JSON */
export const MOST_BYTES = 4 * 2 ** 20
/** of lists and objects in each other: schemas of tools take a dozen */
const MOST_NESTED = 100

/** @throws ApiError 400, 413 */
export async function readBody(request: IncomingMessage): Promise<JsonObject> {
  if (Number(request.headers['content-length'] ?? 0) > MOST_BYTES) throw tooLarge()
  const parts: Buffer[] = []
  let length = 0
  // the connection outlives a body that is refused: it carries the reason
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += part.length
    if (length > MOST_BYTES) throw tooLarge()
    parts.push(part)
  }
  return parsed(Buffer.concat(parts))
}

function tooLarge(): ApiError {
  return new ApiError({
    status: 413,
    code: 'request_too_large',
    message: `a request's body has at most ${MOST_BYTES / 2 ** 20} MiB`,
    headers: { connection: 'close' },
  })
}

function parsed(bytes: Buffer): JsonObject {
  let value: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    checkNesting(text)
    value = parseExactly(text)
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error
    throw invalid(`the body is no JSON in UTF-8: ${error.message.slice(0, 200)}`)
  }
  if (!isObject(value)) throw invalid('the body must be a JSON object')
  return value
}

const invalid = (message: string) => new ApiError({ status: 400, code: 'invalid_json', message })

/** before it is parsed, as everything that reads it goes down by itself. @throws ApiError */
function checkNesting(text: string): void {
  let depth = 0
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === '[' || token === '{') depth++
    else if (token === ']' || token === '}') depth--
    if (depth > MOST_NESTED) throw invalid(`the body's lists and objects are nested more than ${MOST_NESTED} deep`)
  }
}
