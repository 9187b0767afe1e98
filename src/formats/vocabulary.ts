/**
 * The tokens of a tokenizer.json's vocabulary and their ids. It is read before anything else is done, hundreds of thousands of texts: they are
 * gone through once, and found by parts of other texts too, so that none has to be cut out of a merge to be looked up.
 */
import { createHash } from 'node:crypto'
import { SaqrError } from '../error.ts'
import { show } from './json.ts'
import { NONE, placeIn, room, spaceIn, tables } from './text-tables.ts'
import { Texts } from './texts.ts'

const HALF = /\p{Surrogate}/u
const encoder = new TextEncoder()
/** a token that is looked for */
const scratch = new Uint8Array(1024)

export class Vocabulary {
  #digest: string | undefined
  readonly #texts: Texts
  /** of every text; of equal texts the same */
  #all: readonly number[]
  readonly #ids: readonly number[]
  /** places in the lists by their ids */
  readonly #places: number[] = []
  /** places in the lists by a hash of their texts */
  readonly #slots: Int32Array
  /** one more than the highest id */
  readonly limit: number

  /** @param ids of each text; of equal texts the last counts */
  constructor(texts: Texts, ids: readonly number[]) {
    this.#texts = texts
    this.#all = ids
    this.#slots = room(texts.length)
    const repeated = tables().textSlots(texts, this.#slots)
    let limit = 0
    for (let at = 0; at < ids.length; at++) {
      const id = ids[at]!
      this.#places[id] = at
      if (id >= limit) limit = id + 1
    }
    this.limit = limit
    this.#ids = ids
    if (repeated.length === 0) return
    const left = new Set(Array.from(repeated))
    // another text may have the id since
    for (const at of left) if (this.#places[ids[at]!] === at) delete this.#places[ids[at]!]
    this.#ids = ids.filter((_, at) => !left.has(at))
    this.#all = ids.map((id, at) => (left.has(at) ? this.get(texts.at(at))! : id))
  }

  /** of tokenizer.json's `vocab` */
  static of(vocab: Readonly<Record<string, number>>): Vocabulary {
    const tokens = Object.keys(vocab)
    // of an object so large Object.values takes longer than everything else here
    const ids: number[] = []
    for (let at = 0; at < tokens.length; at++) ids.push(vocab[tokens[at]!]!)
    return new Vocabulary(
      Texts.of(tokens, (at) => halfCharacter(`model.vocab has ${show(tokens[at])} (id ${ids[at]})`)),
      ids,
    )
  }

  toJson(): Record<string, number> {
    const vocab: Record<string, number> = Object.create(null)
    for (const [at, token] of this.#texts.toArray().entries()) vocab[token] = this.#all[at]!
    return vocab
  }

  /** of every token, in no order */
  get ids(): readonly number[] {
    return this.#ids
  }

  /** Of its tokens and ids, in the order of the ids: sha256, whatever file they are of. A JSON object has the tokens "0", "1" … before all others. */
  get digest(): string {
    if (this.#digest === undefined) {
      const places = this.#inOrder()
      const ids = new Int32Array(places.length)
      for (let i = 0; i < ids.length; i++) ids[i] = this.#all[places[i]!]!
      this.#digest = digestOf(this.#texts, places, ids)
    }
    return this.#digest
  }

  /** places of the tokens, of equal texts that which counts, by id; of one id in the order of the list, as the last is what the id is read as */
  #inOrder(): Int32Array {
    const all = this.#all
    const places = this.#ids.length === all.length ? count(all.length) : this.#slots.filter((at) => at !== NONE).sort()
    // files mostly list them so, and a sort takes longer than the hash
    for (let i = 1; i < places.length; i++)
      if (all[places[i - 1]!]! > all[places[i]!]!) return places.sort((a, b) => all[a]! - all[b]! || a - b)
    return places
  }

  get(token: string): number | undefined {
    const bytes = 3 * token.length <= scratch.length ? scratch : new Uint8Array(3 * token.length)
    const { written } = encoder.encodeInto(token, bytes)
    const at = !HALF.test(token) ? this.find(bytes, 0, written) : NONE
    return at === NONE ? undefined : this.#all[at]
  }

  tokenOf(id: number): string | undefined {
    const at = this.#places[id]
    return at === undefined ? undefined : this.#texts.at(at)
  }

  /** Place of the token that `bytes` has from `from` to before `end`; −1: it is none. */
  find(bytes: Uint8Array, from: number, end: number): number {
    return placeIn(this.#texts, this.#slots, bytes, from, end, end, end)
  }

  /** is a token's */
  has(id: number): boolean {
    return this.#places[id] !== undefined
  }

  /** Of merges' parts and what they make. */
  mergeIds(merges: Texts, pairs: boolean): MergeIds {
    const ids = new Int32Array(3 * (pairs ? merges.length / 2 : merges.length))
    return { ids, wrong: tables().mergeIds(this.#texts, this.#slots, new Int32Array(this.#all), merges, pairs, ids) }
  }
}

const known = new WeakMap<Texts, Vocabulary>()

/** Of a file that lists its tokens in the order of their ids; made once. */
export function vocabularyIn(tokens: Texts): Vocabulary {
  let made = known.get(tokens)
  if (!made) {
    const ids: number[] = []
    for (let id = 0; id < tokens.length; id++) ids.push(id)
    known.set(tokens, (made = new Vocabulary(tokens, ids)))
  }
  return made
}

/** 0, 1, 2 … */
function count(length: number): Int32Array {
  const numbers = new Int32Array(length)
  for (let i = 0; i < length; i++) numbers[i] = i
  return numbers
}

/** of the texts at these places, and a number of each */
function digestOf(texts: Texts, places: Int32Array, numbers: Int32Array): string {
  const { bytes, lengths } = texts.together(places)
  return createHash('sha256').update(Int32Array.of(places.length)).update(lengths).update(numbers).update(bytes).digest('hex')
}

const halfCharacter = (what: string) =>
  new SaqrError('TEXT_TOKENIZER_INVALID', `tokenizer.json: ${what}, which holds half of a surrogate pair and is no text. Fetch it again.`)

export type Merge = string | readonly [string, string]

export const partsOf = (merge: Merge): readonly [string, string] => {
  if (typeof merge !== 'string') return merge
  const [left = '', right = ''] = merge.split(' ', 2)
  return [left, right]
}

/** Merges one behind the other: each a text with a space in it, or two texts. */
export class MergeTexts {
  readonly #texts: Texts
  readonly #pairs: boolean

  constructor(texts: Texts, pairs: boolean) {
    this.#texts = texts
    this.#pairs = pairs
  }

  /** of tokenizer.json's `merges`, as they stand there */
  static of(merges: readonly Merge[]): MergeTexts {
    const half = (i: number) => halfCharacter(`model.merges[${i}] is ${show(merges[i])}`)
    const ofPair = (part: number) => half(Math.floor(part / 2))
    if (merges.every((merge) => typeof merge === 'string')) return new MergeTexts(Texts.of(merges, half), false)
    const flat = merges.flat()
    if (merges.every((merge) => Array.isArray(merge) && merge.length === 2) && flat.every((part) => typeof part === 'string'))
      return new MergeTexts(Texts.of(flat, ofPair), true)
    const parts: string[] = []
    for (let i = 0; i < merges.length; i++) {
      const merge = merges[i]!
      const pair = typeof merge === 'string' ? partsOf(merge) : merge
      const [left, right] = [pair?.[0], pair?.[1]]
      if (typeof left !== 'string' || typeof right !== 'string')
        throw new SaqrError(
          'TEXT_TOKENIZER_INVALID',
          `tokenizer.json: model.merges[${i}] is ${show(merge)}, it must be two tokens. Fetch it again.`,
        )
      parts.push(left, right)
    }
    return new MergeTexts(Texts.of(parts, ofPair), true)
  }

  /** sha256 of merges in their order, however a file writes them: a token of a pair may have a space of its own, so where the left one ends counts */
  get digest(): string {
    const spaced = this.#pairs ? Texts.of(Array.from({ length: this.length }, (_, i) => this.parts(i).join(' '))) : this.#texts
    return digestOf(spaced, count(this.length), this.#lefts())
  }

  /** bytes of each left part */
  #lefts(): Int32Array {
    const texts = this.#texts
    const lefts = new Int32Array(this.length)
    for (let i = 0; i < lefts.length; i++) {
      const from = texts.starts[this.#pairs ? 2 * i : i]!
      lefts[i] = (this.#pairs ? texts.end(2 * i) : spaceIn(texts.bytes, from, texts.end(i))) - from
    }
    return lefts
  }

  get length(): number {
    return this.#pairs ? this.#texts.length / 2 : this.#texts.length
  }

  parts(i: number): readonly [string, string] {
    return this.#pairs ? [this.#texts.at(2 * i), this.#texts.at(2 * i + 1)] : partsOf(this.#texts.at(i))
  }

  /** The first that is not two texts with a space between; −1: all are. */
  notTwo(): number {
    return this.#pairs ? NONE : tables().notTwo(this.#texts)
  }

  toArray(): (readonly [string, string])[] {
    const texts = this.#texts.toArray()
    return this.#pairs ? Array.from({ length: this.length }, (_, i) => [texts[2 * i]!, texts[2 * i + 1]!] as const) : texts.map(partsOf)
  }

  /** Nothing is cut out or put together for one. */
  idsIn(of: Vocabulary): MergeIds {
    return of.mergeIds(this.#texts, this.#pairs)
  }
}

export interface MergeIds {
  /** of the left part, the right one and the token they make, merge by merge */
  ids: Int32Array
  /** the first merge that has a part, or makes something, that is no token; −1: none */
  wrong: number
}
