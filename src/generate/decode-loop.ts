/**
 * Texts that grow side by side, each by a token a step. A text can be taken in and let go at any time; what it begins with and another
 * holds already is shared, page by page. Whatever stands beside it, a text's numbers are the same: parts of a prompt end where pages do,
 * a pass goes on with so many texts that its products are summed in one order, and reads either parts as short as that or longer ones.
 */
import type { LanguageModel } from '../engine/language-model.ts'
import { SaqrError } from '../error.ts'
import { Decoder, type Fresh, type Next, PAGE } from './decoder.ts'
import { PagePool } from './page-pool.ts'

/** of the memory that is free when a loop begins, what keys and values may take; the rest is for passes, and for a cache that is moved as they grow */
const SHARE = 0.8
/** what they may take of so many bytes that are free */
export const keysBytes = (free: number): number => SHARE * free
/** the first texts are given room for so many at once */
const FIRST_PAGES = 8
/** of the pages that fit, what texts are given for all tokens they may come to hold: passes are planned anew when the cache has grown */
const AHEAD = 1 / 8
/** texts that are kept for others at most: each new one is compared with all of them */
const KEPT = 64

/** A text in the loop. */
export interface Text extends Readonly<Next> {
  readonly ids: readonly number[]
  /** tokens of it that are read */
  readonly read: number
  /** are all of its tokens read? */
  readonly whole: boolean
}

class Held implements Text {
  ids: number[]
  likeliest = -1
  logits: Float32Array = new Float32Array(0)
  pages: number[] = []
  /** tokens whose keys and values lie in them */
  read = 0
  /** and of those the first that were read as a prompt's, not one by one as it went on */
  asPrompt = 0
  long = false
  /** of the weights that it began with: one that goes on while they change keeps its keys, for itself alone */
  version = 0
  /** pages it may come to hold */
  readonly most: number
  /** the likeliest token is all that is asked of it */
  readonly plain: boolean

  constructor(ids: readonly number[], most: number, plain: boolean) {
    this.ids = [...ids]
    this.most = most
    this.plain = plain
  }

  get whole(): boolean {
    return this.read === this.ids.length
  }
}

const pagesOf = (tokens: number) => Math.ceil(tokens / PAGE)

/** Of a prompt, tokens that are read at once. */
interface Part {
  text: Held
  from: number
  to: number
}

/** the next of a text: where it ends never depends on what was shared */
const partOf = (text: Held): Part => {
  const from = text.read
  return { text, from, to: Math.min(text.ids.length, (Math.floor(from / PAGE) + 1) * PAGE) }
}

/** Will a text find its next page among another's when this part is read? */
function holdsNext({ text: other, from, to }: Part, { ids, read, long, version }: Held): boolean {
  if (read !== from || to % PAGE !== 0 || from % PAGE !== 0 || ids.length <= to) return false
  if (long !== other.long || version !== other.version) return false
  return ids.slice(0, to).every((id, i) => id === other.ids[i])
}

export class DecodeLoop {
  readonly #model: LanguageModel
  readonly #decoder: Decoder
  readonly #pool = new PagePool()
  readonly #texts = new Set<Held>()
  /** let go of, but kept for texts that begin alike: the latest last */
  readonly #kept = new Set<Held>()
  readonly #exact: boolean
  readonly #longBeyond: number
  readonly #pageBytes: number
  /** pages that fit into memory */
  readonly #limit: number

  /**
   * @param bytes that keys and values may take
   * @param exact a text's numbers don't depend on texts before it either: of those that were let go it takes whole pages of what was read as a
   *   prompt's. Else all that it begins with, also what was answered: a turn of a conversation costs what is new in it
   */
  constructor(model: LanguageModel, bytes = keysBytes(model.opened.device.free()), exact = false) {
    const { model: family } = model.opened
    this.#model = model
    this.#exact = exact
    this.#decoder = new Decoder(model)
    this.#longBeyond = family.longBeyond ?? Number.POSITIVE_INFINITY
    this.#pageBytes = this.#decoder.pageBytes
    this.#limit = Math.floor(bytes / this.#pageBytes)
  }

  /** texts that go on in one pass */
  get together(): number {
    return this.#decoder.together
  }

  /** texts in it */
  get size(): number {
    return this.#texts.size
  }

  /**
   * Can a text of so many tokens, those to come among them, be taken in beside those there are?
   * @throws SaqrError MEMORY_REFUSED where it can't even alone
   */
  fits(tokens: number): boolean {
    const need = pagesOf(tokens)
    if (need > this.#limit) throw this.#refusal(tokens)
    let held = 0
    for (const text of this.#texts) held += text.most
    return held + need <= this.#limit
  }

  /**
   * Takes a text in and reads its prompt.
   * @param tokens that it has at most, those to come among them
   * @param plain the likeliest token is all that is asked of it: its logits may stay on the device
   * @throws SaqrError MEMORY_REFUSED
   */
  async add(
    prompt: readonly number[],
    tokens: number,
    { signal, plain = false }: { signal?: AbortSignal; plain?: boolean } = {},
  ): Promise<Text> {
    const text = this.begin(prompt, tokens, plain)
    try {
      await this.#readAll(text as Held, signal)
    } catch (error) {
      this.remove(text)
      throw error
    }
    return text
  }

  /** Takes a text in as `add` does, and leaves its prompt to be read part by part (`read`) between steps of others. @throws SaqrError MEMORY_REFUSED */
  begin(prompt: readonly number[], tokens: number, plain = false): Text {
    if (!this.fits(tokens)) throw this.#refusal(tokens)
    const text = new Held(prompt, pagesOf(tokens), plain)
    text.long = prompt.length > this.#longBeyond
    this.#begin(text)
    this.#texts.add(text)
    return text
  }

  /**
   * Reads the next parts of prompts, the first of those that aren't whole and of the others, in this order, what one pass takes beside it.
   * What several begin with is read for one of them.
   * @returns how many tokens that were
   */
  async read(texts: readonly Text[], signal?: AbortSignal): Promise<number> {
    const { together, joins, sized } = this.#decoder
    const parts: Part[] = []
    let { room } = this.#decoder
    let few = false
    for (const text of texts as readonly Held[]) {
      if (parts.length === (joins ? together : 1)) break
      if (text.whole) continue
      this.#share(text)
      const part = partOf(text)
      const size = part.to - text.read
      // where every part is a pass of one size, short ones gain nothing by themselves
      if (parts.length === 0 && size <= together && !sized) [few, room] = [true, together]
      // the last: what it lacks is about to be read
      if (size > room || (!sized && size <= together !== few) || parts.some((other) => holdsNext(other, text))) continue
      parts.push(part)
      room -= size
    }
    await this.#readParts(parts, signal)
    return parts.reduce((sum, { text, from }) => sum + text.read - from, 0)
  }

  /** Goes on with each of these texts by a token. */
  async step(next: readonly (readonly [Text, number])[], signal?: AbortSignal): Promise<void> {
    const single: Held[] = []
    for (const [text, id] of next) {
      const held = text as Held
      held.ids.push(id)
      if (held.ids.length > this.#longBeyond && !held.long) {
        // its keys were turned as a short text's: all of it is read anew
        this.#empty(held)
        held.long = true
        held.version = this.#model.version
        await this.#readAll(held, signal)
      } else single.push(held)
    }
    const { together } = this.#decoder
    for (let from = 0; from < single.length; from += together) {
      const texts = single.slice(from, from + together)
      for (const text of texts) this.#room(text)
      const tokens = texts.map((text): Fresh => ({ id: text.ids.at(-1)!, position: text.read, pages: text.pages, long: text.long }))
      const answers = await this.#decoder.goOn(tokens, !texts.every(({ plain }) => plain), signal)
      for (const [i, text] of texts.entries()) {
        Object.assign(text, answers[i])
        text.read++
      }
    }
  }

  /** @param keep its keys and values stay, while there is room, for a text that begins as it does */
  remove(text: Text, keep = false): void {
    const held = text as Held
    if (!this.#texts.delete(held)) return
    if (keep) this.#kept.add(held)
    else this.#empty(held)
    if (this.#kept.size > KEPT) this.#forget()
  }

  dispose(): void {
    this.#decoder.dispose()
  }

  /**
   * The pages that the text has in common with another: whole ones, which both hold then, or of a text that was let go all there is, which it
   * takes from it. Keys of weights as they were before they were trained on are no beginning any more.
   */
  #begin(text: Held): void {
    text.version = this.#model.version
    for (const old of [...this.#kept]) if (old.version !== text.version) this.#forget(old)
    let best: Held | undefined
    let tokens = 0
    for (const other of [...this.#texts, ...this.#kept]) {
      const own = this.#alike(text, other)
      // the last page is written on: nobody else may hold it
      const mine = !this.#exact && this.#kept.has(other) && !this.#pool.shared(other.pages[Math.max(0, pagesOf(own) - 1)]!)
      const n = mine ? own : own - (own % PAGE)
      if (n > tokens) [best, tokens] = [other, n]
    }
    if (!best) return
    const pages = best.pages.slice(0, pagesOf(tokens))
    const kept = this.#kept.delete(best)
    if (kept && tokens % PAGE !== 0) {
      text.pages = pages
      for (const page of best.pages.slice(pages.length)) this.#pool.giveBack(page)
    } else {
      text.pages = pages.map((page) => this.#pool.share(page))
      // nothing writes on whole pages: what else there is of it stays, for whoever goes on with it
      if (kept) this.#kept.add(best)
    }
    text.read = tokens
    text.asPrompt = tokens
  }

  /** tokens that a text begins with as another does, which has read them; at least one is left to read: its logits are wanted */
  #alike(text: Held, other: Held): number {
    const { ids, read, asPrompt, long, version } = other
    const there = this.#decoder.sized || this.#exact || !this.#kept.has(other) ? asPrompt : read
    const most = long === text.long && version === text.version ? Math.min(there, text.ids.length - 1) : 0
    let n = 0
    while (n < most && ids[n] === text.ids[n]) n++
    return n
  }

  /** Whole pages that another text has read since this one began. */
  #share(text: Held): void {
    if (text.read % PAGE !== 0) return
    for (const other of [...this.#texts, ...this.#kept]) {
      if (other.asPrompt < text.read + PAGE || other.ids[text.read] !== text.ids[text.read]) continue
      const common = this.#alike(text, other)
      const [from, to] = [text.read / PAGE, Math.floor(common / PAGE)]
      if (to <= from) continue
      text.pages.push(...other.pages.slice(from, to).map((page) => this.#pool.share(page)))
      text.read = to * PAGE
      text.asPrompt = text.read
    }
  }

  async #readAll(text: Held, signal?: AbortSignal): Promise<void> {
    while (!text.whole) await this.#readParts([partOf(text)], signal)
  }

  async #readParts(parts: readonly Part[], signal?: AbortSignal): Promise<void> {
    for (const { text } of parts) this.#room(text)
    const tokens = parts.map(({ text: { ids, pages, long }, from, to }) =>
      ids.slice(from, to).map((id, i): Fresh => ({ id, position: from + i, pages, long })),
    )
    const logits = parts.some(({ text, to }) => to === text.ids.length && !text.plain)
    const answers = await this.#decoder.readParts(tokens, logits, signal)
    for (const [i, { text, to }] of parts.entries()) {
      Object.assign(text, answers[i])
      text.read = to
      text.asPrompt = to
    }
  }

  /** a page for the text's next token */
  #room(text: Held): void {
    if (text.read < text.pages.length * PAGE) return
    while (this.#pool.free === 0 && this.#kept.size > 0 && this.#pool.size >= this.#limit) this.#forget()
    if (this.#pool.free === 0) {
      // for all prompts at once
      let [lacking, most] = [0, 0]
      for (const text of this.#texts) {
        lacking += Math.max(0, pagesOf(text.ids.length) - text.pages.length)
        most += text.most
      }
      const now = Math.min(this.#limit, this.#pool.size + Math.max(1, lacking))
      const ahead = Math.min(most, Math.floor(AHEAD * this.#limit))
      this.#grow(now, Math.min(this.#limit, Math.max(FIRST_PAGES, 2 * this.#pool.size, now, ahead)))
    }
    text.pages.push(this.#pool.take())
  }

  /** To so many pages, or, where others have taken the memory for them meanwhile, what is needed now. @throws SaqrError MEMORY_REFUSED */
  #grow(needed: number, wanted: number): void {
    let size = wanted
    try {
      this.#decoder.grow(size)
    } catch (error) {
      if (!(error instanceof SaqrError) || error.code !== 'MEMORY_REFUSED' || size === needed) throw error
      this.#decoder.grow((size = needed))
    }
    this.#pool.grow(size)
  }

  /** of the texts that were let go: the one the longest ago, unless another is named */
  #forget(text: Held = [...this.#kept][0]!): void {
    this.#kept.delete(text)
    this.#empty(text)
  }

  #empty(text: Held): void {
    for (const page of text.pages) this.#pool.giveBack(page)
    text.pages = []
    text.read = 0
    text.asPrompt = 0
  }

  #refusal(tokens: number): SaqrError {
    const bytes = (n: number) => `${(n / 1e6).toFixed(0)} MB`
    const [need, most] = [pagesOf(tokens) * this.#pageBytes, this.#limit * this.#pageBytes]
    return new SaqrError(
      'MEMORY_REFUSED',
      `keys and values of a text of ${tokens} tokens take ${bytes(need)} (${bytes(this.#pageBytes)} for ${PAGE} tokens), and ${bytes(most)} of memory are left for them: give a shorter prompt, or ask for at most ${Math.max(0, this.#limit * PAGE)} tokens in all`,
    )
  }
}
