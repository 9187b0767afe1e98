/** Lists a page at a time, as OpenAI's clients ask for them: `limit` of what comes behind `after`. */
import { badParameter } from './api-error.ts'

/** @param items in the order in which they are told @throws ApiError 400 */
export function pageOf<T extends { id: string }>(items: readonly T[], query: URLSearchParams, { usual = 20, most = 100 } = {}) {
  const given = query.get('limit')
  const limit = given === null ? usual : Number(given)
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > most)
    throw badParameter('limit', `limit: expected a whole number from 1 to ${most}`)
  const after = query.get('after')
  const at = after === null || after === '' ? -1 : items.findIndex(({ id }) => id === after)
  if (after && at === -1) throw badParameter('after', `after: there is no ${JSON.stringify(after.slice(0, 100))} in this list`)
  const data = items.slice(at + 1, at + 1 + limit)
  const has_more = at + 1 + limit < items.length
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more }
}
