/** Requests to the Hub: every failure by name, with what to do; what may pass by itself is tried again. */
import { setTimeout as wait } from 'node:timers/promises'
import { SaqrError } from '../error.ts'
import type { HubOptions, HubPlaces } from './places.ts'
import type { Repository } from './repository.ts'

interface Passing {
  /** seconds the server asks to wait */
  retryAfter?: number
  /** how often a host is asked in all that gave no answer yet */
  asked?: number
}

/** A failure that may pass: no connection, 429, 5xx. */
export class PassingError extends SaqrError {
  readonly retryAfter: number | undefined
  readonly asked: number
  constructor(code: string, message: string, options?: ErrorOptions & Passing) {
    super(code, message, options)
    this.retryAfter = options?.retryAfter
    this.asked = options?.asked ?? attempts
  }
}

/** How long the Hub may be silent, ms. */
export const patience = 30_000
const attempts = 5
const longestWait = 60
/**
 * How often a host that has not answered is asked in all. Whose name nobody knows is not found by waiting, but for a name server that was silent;
 * where nothing listens, something may be about to.
 */
const askedOf: Readonly<Record<string, number>> = { ENOTFOUND: 1, EAI_AGAIN: 2, ECONNREFUSED: 2 }

/** A fetch for the functions of @huggingface/hub that throws SaqrErrors. `subject` names what is asked for. */
export function hubFetch(places: HubPlaces, repo: Repository, subject: string, signal?: AbortSignal): typeof fetch {
  return async (input, init) => {
    let response: Response
    try {
      response = await fetch(input, {
        ...init,
        signal: signal ?? null,
        headers: { 'user-agent': 'saqr', ...(init?.headers as Record<string, string>) },
      })
    } catch (cause) {
      throw networkError(cause, places, repo, signal)
    }
    if (response.ok) return response
    await response.body?.cancel()
    throw statusError(response, places, repo, subject)
  }
}

export function networkError(cause: unknown, { hubUrl }: HubPlaces, { type, name }: Repository, signal?: AbortSignal): unknown {
  const [what, here] = type === 'dataset' ? ['data set', 'file or folder'] : ['model', 'folder']
  const advice = `Check the network, or give a local ${here} (${name} is none).`
  return connectionError(cause, 'HUB_OFFLINE', `${hubUrl} for the ${what} ${name}`, advice, signal)
}

/** A failed request as an error to try again; what the caller aborted is the reason it gave. */
export function connectionError(cause: unknown, code: string, to: string, advice: string, signal?: AbortSignal): unknown {
  if (cause instanceof SaqrError) return cause
  if (signal?.aborted && (signal.reason as Error)?.name !== 'TimeoutError') return signal.reason
  const inner = (cause as Error)?.cause as NodeJS.ErrnoException | undefined
  const why = inner?.code ?? inner?.message ?? (cause as Error)?.message ?? String(cause)
  return new PassingError(code, `No connection to ${to} (${why}). ${advice}`, { cause, asked: askedOf[why] })
}

function statusError(response: Response, { hubUrl, token }: HubPlaces, repo: Repository, subject: string): SaqrError {
  const page = `${hubUrl}/${repo.type === 'dataset' ? 'datasets/' : ''}${repo.name}`
  const kind = response.headers.get('x-error-code')
  const { status } = response
  const login = token ? 'the access token in use does not open it' : 'log in (hf auth login) or set HF_TOKEN'
  if (kind === 'GatedRepo')
    return new SaqrError(
      'HUB_GATED',
      `${repo.name} asks for its terms to be accepted: do so at ${page}, then ${token ? 'try again' : login}.`,
    )
  if (kind === 'RevisionNotFound')
    return new SaqrError('HUB_REVISION', `${repo.name} has no revision ${repo.revision}. See ${page}/tree/main for what there is.`)
  if (kind === 'EntryNotFound') return new SaqrError('HUB_FILE', `${repo.name} has no file ${subject} at revision ${repo.revision}.`)
  if (status === 401 && kind !== 'RepoNotFound' && token)
    return new SaqrError('HUB_TOKEN', `${hubUrl} does not accept the access token. Make a new one at ${hubUrl}/settings/tokens.`)
  if (status === 404 || status === 401)
    return new SaqrError(
      'HUB_NOT_FOUND',
      `There is no ${repo.type} ${repo.name} on ${hubUrl}, or it is private. Check the name; if it is private, ${login}.`,
    )
  if (status === 403) return new SaqrError('HUB_FORBIDDEN', `${repo.name} may not be read: ${login}. See ${page}.`)
  if (status === 429) {
    const retryAfter = Number(response.headers.get('retry-after')) || undefined
    return new PassingError(
      'HUB_RATE_LIMIT',
      `${hubUrl} refuses more requests for now (429). Wait a few minutes${token ? '' : ', or log in for a higher limit'}.`,
      { retryAfter },
    )
  }
  if (status >= 500)
    return new PassingError('HUB_SERVER', `${hubUrl} has a problem of its own (${status}) with ${subject}. Try again later.`)
  return new SaqrError('HUB_SERVER', `${hubUrl} answered ${status} to ${subject} of ${repo.name}.`)
}

/**
 * Runs `task`, again where it failed in passing: five times, waiting longer each time.
 * @param begun its host has answered before, so that its name, too, is only gone in passing; true: the task got on, so count anew
 */
export async function patiently<T>(
  task: () => Promise<T>,
  options: Pick<HubOptions, 'signal' | 'retryDelay' | 'onWait'>,
  begun?: () => boolean,
): Promise<T> {
  const delay = options.retryDelay ?? 1000
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted()
    try {
      return await task()
    } catch (error) {
      if (!(error instanceof PassingError)) throw error
      if (begun?.()) attempt = 1
      const all = begun ? attempts : error.asked
      if (attempt >= all || (error.retryAfter ?? 0) > longestWait) throw error
      const pause = Math.max(delay * 2 ** (attempt - 1), (error.retryAfter ?? 0) * 1000)
      options.onWait?.({ why: error.message, seconds: pause / 1000, left: all - attempt })
      await wait(pause, undefined, { signal: options.signal })
    }
  }
}
