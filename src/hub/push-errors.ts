/** What a Hub says to an upload, as errors that say what to do; what may pass by itself is tried again. */
import { SaqrError } from '../error.ts'
import { connectionError, PassingError } from './client.ts'
import type { HubPlaces } from './places.ts'
import type { Repository } from './repository.ts'

/** A fetch for the functions of @huggingface/hub that write. `subject` names what is done, `unheard` what holds where no answer comes. */
export function pushFetch(places: HubPlaces, repo: Repository, subject: string, unheard: string, signal?: AbortSignal): typeof fetch {
  return async (input, init) => {
    let response: Response
    try {
      const headers = new Headers(init?.headers)
      headers.set('user-agent', 'saqr')
      response = await fetch(input, { ...init, headers, signal: signal ?? null })
    } catch (cause) {
      throw connectionError(cause, 'HUB_OFFLINE', `${places.hubUrl} for ${repo.name}`, unheard, signal)
    }
    if (response.ok) return response
    const url = input instanceof Request ? input.url : String(input)
    if (!url.startsWith(places.hubUrl) && response.status < 500 && response.status !== 429) throw storageError(url, response)
    throw statusError(response, await saidBy(response), places, repo, subject)
  }
}

/** Where large files go is another server's, under an address of its own for each upload, which is good for some time. */
function storageError(url: string, { status }: Response): PassingError {
  return new PassingError('HUB_SERVER', `The Hub's storage (${new URL(url).host}) refused a file (${status}). Run the command again later.`)
}

/** the server's own words, for errors that only it knows */
async function saidBy(response: Response): Promise<string> {
  try {
    const text = (await response.text()).slice(0, 2000)
    if (!response.headers.get('content-type')?.startsWith('application/json')) return ''
    const { error, message } = JSON.parse(text) as Record<string, unknown>
    const said = error ?? message
    return typeof said === 'string' ? ` It says: ${said.replace(/\s+/g, ' ').slice(0, 300)}` : ''
  } catch {
    return ''
  }
}

function statusError({ status, headers }: Response, said: string, { hubUrl }: HubPlaces, repo: Repository, subject: string): SaqrError {
  const tokens = `${hubUrl}/settings/tokens`
  const server = (what: string) => new SaqrError('HUB_SERVER', `${hubUrl} ${what} (${status}) for ${subject} of ${repo.name}.${said}`)
  switch (status) {
    case 401:
      return new SaqrError('HUB_TOKEN', `${hubUrl} does not accept the access token.${said} Make a new one that may write at ${tokens}.`)
    case 403:
      return new SaqrError(
        'HUB_FORBIDDEN',
        `The access token may not write to ${repo.name}.${said} Give it the right to write at ${tokens}, or name a repository of your own.`,
      )
    case 404:
      return new SaqrError(
        'HUB_NOT_FOUND',
        `${hubUrl} knows no ${repo.name} that the access token may write to.${said} Check its owner and name.`,
      )
    case 409:
    case 412:
      return new SaqrError(
        'HUB_CONFLICT',
        `${repo.name} has changed meanwhile, or is there already (${status}).${said} Run the command again.`,
      )
    case 413:
      return new SaqrError('HUB_SERVER', `${hubUrl} takes no file as large (413).${said} Save the model in smaller files (max_shard_size).`)
    case 429:
      return new PassingError(
        'HUB_RATE_LIMIT',
        `${hubUrl} refuses more requests for now (429).${said} Wait a few minutes, and run the command again.`,
        {
          retryAfter: Number(headers.get('retry-after')) || undefined,
        } as ErrorOptions & { retryAfter?: number },
      )
    default:
      if (status >= 500)
        return new PassingError(
          'HUB_SERVER',
          `${hubUrl} has a problem of its own (${status}) with ${subject}.${said} Run the command again later.`,
        )
      return server('refused the request')
  }
}
