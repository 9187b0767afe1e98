/** What tells two sets of rows apart: every value as it was written, and what each row is called. */
import { createHash } from 'node:crypto'
import { Float, isObject } from '../formats/json.ts'
import { exactEntries, exactItems } from '../hub/json-exact.ts'
import { breathe } from './breathe.ts'
import type { Dataset } from './dataset.ts'

/** characters hashed at once */
const CHUNK = 1 << 18

export interface RowDigest {
  /** sha256, hex */
  digest: string
  /** how much there is to read */
  characters: number
}

/** null: rows hold what no file could (a date, a function), or halves of characters. */
export async function digestRows(dataset: Dataset, signal?: AbortSignal): Promise<RowDigest | null> {
  const hash = createHash('sha256')
  let parts: string[] = [`${dataset.source}\n`]
  let waiting = 0
  let characters = 0
  const flush = () => {
    const text = parts.join('')
    if (/\p{Surrogate}/u.test(text)) throw new Unkeepable()
    hash.update(text)
    parts = []
    characters += waiting
    waiting = 0
  }
  const say = (text: string) => {
    parts.push(text)
    waiting += text.length
  }
  let breath = performance.now()
  try {
    for (const [i, row] of dataset.rows.entries()) {
      say(`${dataset.where(i)}\n${dataset.numberOf(i)} `)
      tell(row, say)
      if (waiting < CHUNK) continue
      flush()
      breath = await breathe(breath, signal)
    }
    flush()
  } catch (cause) {
    if (cause instanceof Unkeepable) return null
    throw cause
  }
  return { digest: hash.digest('hex'), characters }
}

class Unkeepable extends Error {}

/** Nothing written one way can be read another: texts and lists say how long they are. */
function tell(value: unknown, say: (text: string) => void): void {
  if (typeof value === 'string') {
    say(`s${value.length}:`)
    say(value)
  } else if (typeof value === 'number') say(Object.is(value, -0) ? 'n-0;' : `n${value};`)
  else if (typeof value === 'bigint') say(`i${value};`)
  else if (value instanceof Float) say(Object.is(value.value, -0) ? 'f-0;' : `f${value.value};`)
  else if (value === null || value === undefined || typeof value === 'boolean') say(`${value};`)
  else if (Array.isArray(value)) {
    const items = exactItems(value)
    say(`[${items.length}:`)
    for (const item of items) tell(item, say)
  } else if (isObject(value) && (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null)) {
    const entries = exactEntries(value)
    say(`{${entries.length}:`)
    for (const [key, held] of entries) {
      tell(key, say)
      tell(held, say)
    }
  } else throw new Unkeepable()
}
