/**
 * The tokens of a tokenizer.json's vocabulary and their ids. It is read before anything else is done, hundreds of thousands of texts: they are
 * gone through once, and found by parts of other texts too, so that none has to be cut out of a merge to be looked up.
 */

const NONE = -1

export class Vocabulary {
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
