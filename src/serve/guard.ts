/** Who may ask: whoever knows the key, from this machine, and of pages in a browser only those that were allowed. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { ApiError } from './api-error.ts'

/** 256 random bits */
export const newKey = (): string => `sk-saqr-${randomBytes(32).toString('base64url')}`

const digest = (text: string) => createHash('sha256').update(text).digest()

/** The name or address in a URL or Host header is this machine's own. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** host of `http://host:port`, or of `host:port` with a scheme before it; null: it is no URL */
function hostOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).hostname : null
}

export class Guard {
  readonly #key: Buffer
  readonly #origins: ReadonlySet<string>

  /** @param origins as browsers write them (`https://app.example`) */
  constructor(key: string, origins: readonly string[]) {
    this.#key = digest(key)
    this.#origins = new Set(origins)
  }

  /**
   * A page's origin, and the name that the server was asked under: a name that a stranger lets point to this machine (DNS rebinding) is none of its own.
   * @returns headers that let the page read the answer
   * @throws ApiError 403
   */
  origin({ headers }: IncomingMessage): Record<string, string> {
    if (headers.host !== undefined && !isLoopback(hostOf(`http://${headers.host}`) ?? ''))
      throw new ApiError({ status: 403, code: 'host_refused', message: `this server answers to localhost, not to ${headers.host}` })
    const { origin } = headers
    if (origin === undefined) return {}
    if (!this.#origins.has(origin) && !isLoopback(hostOf(origin) ?? ''))
      throw new ApiError({
        status: 403,
        code: 'origin_refused',
        message: `pages of ${origin} may not ask this server: allow them with --allowed_origins when it is started`,
      })
    return { 'access-control-allow-origin': origin, vary: 'Origin' }
  }

  /** In the same time for every wrong key. @throws ApiError 401 */
  key({ headers }: IncomingMessage): void {
    const [, given] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? []
    if (given !== undefined && timingSafeEqual(digest(given), this.#key)) return
    throw new ApiError({
      status: 401,
      code: 'invalid_api_key',
      message: `${given === undefined ? 'no API key was sent' : 'this API key is not the server’s'}: send the one that it printed when it started, as Authorization: Bearer KEY`,
      headers: { 'www-authenticate': 'Bearer' },
    })
  }
}
