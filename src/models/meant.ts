/** Remembers what is read of a configuration while a family opens it, and what that came to. */
import type { Json } from './config.ts'

export interface Meaning {
  /** by key; of an object the meaning of what was read of it */
  readonly values: Map<string, unknown>
  /** keys that others say */
  readonly instead: Set<string>
}

const watched = new WeakMap<Json, Meaning>()

/** @returns json: to be opened; read: fills as it is */
export function readBy(config: Json): { json: Json; read: Meaning } {
  const read: Meaning = { values: new Map(), instead: new Set() }
  const within = new Map<string, Json>()
  const json = new Proxy(
    { ...config },
    {
      get(of, key) {
        if (typeof key !== 'string') return Reflect.get(of, key)
        const value = of[key]
        if (!isPlain(value)) {
          if (!read.values.has(key)) read.values.set(key, value)
          return value
        }
        let inner = within.get(key)
        if (inner === undefined) {
          const one = readBy(value)
          within.set(key, (inner = one.json))
          read.values.set(key, one.read)
        }
        return inner
      },
    },
  )
  watched.set(json, read)
  return { json, read }
}

const isPlain = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/**
 * Says what a key comes to, whatever the file says for it.
 * @param instead keys that are in it, and mean nothing beside
 */
export function means(json: Json, key: string, value: unknown, instead: readonly string[] = []): void {
  const read = watched.get(json)
  if (!read) return
  read.values.set(key, value)
  for (const one of instead) if (one !== key) read.instead.add(one)
}
