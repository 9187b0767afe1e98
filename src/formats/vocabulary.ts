/**
 * The tokens of a tokenizer.json's vocabulary and their ids. It is read before anything else is done, hundreds of thousands of texts: they are
 * gone through once, and found by parts of other texts too, so that none has to be cut out of a merge to be looked up.
 */
import { createHash } from 'node:crypto'

const NONE = -1

export class Vocabulary {
  #digest: string | undefined
  readonly #tokens: string[]
  readonly #ids: number[] = []
  readonly #spelled: string[] = []
  /** places in the lists by a hash of their texts */
  readonly #slots: Int32Array
  readonly #mask: number
  /** one more than the highest id */
  readonly limit: number

  constructor(vocab: Readonly<Record<string, number>>) {
    this.#tokens = Object.keys(vocab)
    const slots = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * this.#tokens.length)))
    this.#slots = new Int32Array(slots).fill(NONE)
    this.#mask = slots - 1
    let limit = 0
    for (let at = 0; at < this.#tokens.length; at++) {
      const token = this.#tokens[at]!
      const id = vocab[token]!
      this.#ids.push(id)
      this.#spelled[id] = token
      if (id >= limit) limit = id + 1
      let slot = hashOf(token, 0, token.length) & this.#mask
      while (this.#slots[slot] !== NONE) slot = (slot + 1) & this.#mask
      this.#slots[slot] = at
    }
    this.limit = limit
  }

  get ids(): readonly number[] {
    return this.#ids
  }

  /** of its tokens in their order and their ids: sha256 */
  get digest(): string {
    return (this.#digest ??= digestOf(this.#tokens, new Int32Array(this.#ids)))
  }

  get(token: string): number | undefined {
    const at = this.find(token, 0, token.length)
    return at === NONE ? undefined : this.#ids[at]
  }

  tokenOf(id: number): string | undefined {
    return this.#spelled[id]
  }

  /** Place of the token that `text` has from `from` to before `end`; −1: it is none. */
  find(text: string, from: number, end: number): number {
    let slot = hashOf(text, from, end) & this.#mask
    for (;;) {
      const at = this.#slots[slot]!
      if (at === NONE || this.isAt(at, text, from, end)) return at
      slot = (slot + 1) & this.#mask
    }
  }

  /** Is the token at this place a part of `text`, or two parts one behind the other? */
  isAt(at: number, text: string, from: number, end: number, from2 = 0, end2 = 0): boolean {
    const token = this.#tokens[at]
    const first = end - from
    if (token?.length !== first + end2 - from2) return false
    for (let i = 0; i < first; i++) if (token.charCodeAt(i) !== text.charCodeAt(from + i)) return false
    for (let i = first; i < token.length; i++) if (token.charCodeAt(i) !== text.charCodeAt(from2 + i - first)) return false
    return true
  }

  idAt(at: number): number {
    return this.#ids[at]!
  }
}

function hashOf(text: string, from: number, end: number): number {
  let hash = 0x811c9dc5
  for (let i = from; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}

const known = new WeakMap<object, Vocabulary>()

/** Of a tokenizer.json's model, made once: what is added to a tokenizer leaves it as it is. */
export function vocabularyOf(vocab: Readonly<Record<string, number>>): Vocabulary {
  let made = known.get(vocab)
  if (made === undefined) known.set(vocab, (made = new Vocabulary(vocab)))
  return made
}

/** Texts as one, behind how long each is: a fifth of what writing them as JSON takes. */
function digestOf(texts: readonly string[], ids = new Int32Array(0)): string {
  const lengths = new Int32Array(texts.length)
  for (let i = 0; i < texts.length; i++) lengths[i] = texts[i]!.length // `from` takes ten times as long
  const hash = createHash('sha256').update(Int32Array.of(texts.length, ids.length)).update(lengths).update(ids)
  return hash.update(texts.join(''), 'utf16le').digest('hex') // as UTF-8 halves of characters would be one
}

export type Merge = string | readonly [string, string]

/** sha256 of merges in their order, however a file writes them */
export const digestOfMerges = (merges: readonly Merge[]): string =>
  digestOf(merges.map((merge) => (typeof merge === 'string' ? merge : `${merge[0]} ${merge[1]}`)))

export const partsOf = (merge: Merge): readonly [string, string] => {
  if (typeof merge !== 'string') return merge
  const [left = '', right = ''] = merge.split(' ', 2)
  return [left, right]
}

export interface MergeIds {
  /** of the left part, the right one and the token they make, merge by merge */
  ids: Int32Array
  /** the first merge that has a part, or makes something, that is no token; −1: none */
  wrong: number
}

const merged = new WeakMap<readonly Merge[], { of: Vocabulary; made: MergeIds }>()

/** Hundreds of thousands, gone through once, and nothing is cut out or put together for one. @param merges as they stand in tokenizer.json */
export function mergeIdsOf(merges: readonly Merge[], of: Vocabulary): MergeIds {
  const known = merged.get(merges)
  if (known?.of === of) return known.made
  const made = { ids: new Int32Array(3 * merges.length), wrong: NONE }
  let last = NONE
  for (let i = 0; i < merges.length; i++) {
    const merge = merges[i]!
    const text = typeof merge === 'string' ? merge : `${merge[0]} ${merge[1]}`
    const space = typeof merge === 'string' ? merge.indexOf(' ') : merge[0].length
    const middle = space === -1 ? text.length : space
    const from = Math.min(middle + 1, text.length)
    const behind = typeof merge === 'string' ? merge.indexOf(' ', from) : -1
    const end = behind === -1 ? text.length : behind
    const left = of.find(text, 0, middle)
    const right = of.find(text, from, end)
    // mostly what the merge before made, by another way, or the token behind that
    let both = last
    if (!of.isAt(both, text, 0, middle, from, end)) {
      both++
      if (!of.isAt(both, text, 0, middle, from, end)) {
        const whole = text.slice(0, middle) + text.slice(from, end)
        both = of.find(whole, 0, whole.length)
      }
    }
    if (left === NONE || right === NONE || both === NONE) {
      made.wrong = i
      break
    }
    last = both
    made.ids[3 * i] = of.idAt(left)
    made.ids[3 * i + 1] = of.idAt(right)
    made.ids[3 * i + 2] = of.idAt(both)
  }
  merged.set(merges, { of, made })
  return made
}
