/**
 * Byte-pair encoding: of all neighbouring pairs in a piece of text the one that was learned first is merged, the leftmost of equal ones, until
 * none is left. Linear but for the order of what is merged next, which is a heap: a megabyte without a space is one piece.
 */
import { SaqrError } from '../error.ts'
import type { BpeTables } from '../formats/bpe-model.ts'
import { NONE, pairSlot, room, tables } from '../formats/text-tables.ts'
import type { Vocabulary } from '../formats/vocabulary.ts'
import type { Json } from './definition.ts'

/** a symbol that has become part of the one before it */
const GONE = -1
const POSITIONS = 2 ** 32

export class Bpe {
  readonly #ids: Vocabulary
  /** of those that were met */
  readonly #characters = new Map<string, number>()
  readonly #merges: Merges
  readonly #wholeFirst: boolean
  /** ids of the bytes of a character that is no token; undefined: they don't stand for it */
  readonly #bytes: (character: string) => readonly number[] | undefined
  /** what stands for it then; undefined: nothing does */
  readonly #unknown: number | undefined
  /** one for all that stand side by side */
  readonly #fused: boolean

  /** @throws SaqrError TEXT_TOKENIZER_UNSUPPORTED for a merge that makes no token */
  constructor(model: Json, tables: BpeTables) {
    const ids = tables.vocabulary
    this.#ids = ids
    this.#merges = new Merges(tables)
    this.#wholeFirst = model.ignore_merges === true
    this.#unknown = model.unk_token == null ? undefined : ids.get(model.unk_token as string)
    this.#fused = model.fuse_unk === true
    this.#bytes = (character) => {
      if (model.byte_fallback !== true) return undefined
      const bytes = Array.from(Buffer.from(character), (byte) => ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`))
      return bytes.every((id) => id !== undefined) ? bytes : undefined
    }
  }

  /** Token ids of a piece, at the end of `out`. */
  encode(piece: string, out: number[]): void {
    const whole = this.#wholeFirst ? this.#ids.get(piece) : undefined
    if (whole !== undefined) {
      out.push(whole)
      return
    }
    const symbols: number[] = []
    let fuses = false
    for (const character of piece) {
      const id = this.#idOf(character)
      const bytes = id === undefined ? this.#bytes(character) : [id]
      // before anything is merged: where nothing stands for a character, what was around it are neighbours
      if (bytes) symbols.push(...bytes)
      else if (this.#unknown !== undefined && !fuses) symbols.push(this.#unknown)
      fuses = this.#fused && bytes === undefined
    }
    if (symbols.length > 1) this.#merge(symbols)
    for (const id of symbols) if (id !== GONE) out.push(id)
  }

  #idOf(character: string): number | undefined {
    let id = this.#characters.get(character)
    if (id === undefined && (id = this.#ids.get(character)) !== undefined) this.#characters.set(character, id)
    return id
  }

  /** Merges symbols in place; what has become part of the one before it is GONE. */
  #merge(symbols: number[]): void {
    const { length } = symbols
    const before = Int32Array.from({ length }, (_, i) => i - 1)
    const after = Int32Array.from({ length }, (_, i) => i + 1)
    // by rank, then by position; a pair that has changed since is known by its rank
    const heap = new Heap()
    const offer = (at: number) => {
      const next = after[at]!
      const rank = next < length ? this.#merges.find(symbols[at]!, symbols[next]!) : NONE
      if (rank !== NONE) heap.push(rank * POSITIONS + at)
    }
    for (let i = 0; i + 1 < length; i++) offer(i)
    for (;;) {
      const first = heap.pop()
      if (first === undefined) return
      const at = first % POSITIONS
      const next = after[at]!
      if (symbols[at] === GONE || next >= length) continue
      const rank = this.#merges.find(symbols[at]!, symbols[next]!)
      if (rank === NONE || rank !== (first - at) / POSITIONS) continue
      symbols[at] = this.#merges.made(rank)
      symbols[next] = GONE
      after[at] = after[next]!
      if (after[at]! < length) before[after[at]!] = at
      if (before[at]! >= 0) offer(before[at]!)
      offer(at)
    }
  }
}

function noToken(left: string, right: string, of: Vocabulary): SaqrError {
  const parts = of.get(left) !== undefined && of.get(right) !== undefined
  return new SaqrError(
    'TEXT_TOKENIZER_UNSUPPORTED',
    `tokenizer.json merges ${JSON.stringify(left)} and ${JSON.stringify(right)}, and has no token for ${parts ? 'both together' : 'one of them'}. Fetch it again, or use a checkpoint with another tokenizer.`,
  )
}

/** Pairs of ids and what becomes of them: ranks in a table, small enough to stay in a processor's cache while it is made. */
class Merges {
  /** left, right and what they make, by rank */
  readonly #ids: Int32Array
  /** ranks */
  readonly #slots: Int32Array

  constructor({
    vocabulary,
    merges: {
      texts,
      ids: { ids, wrong },
    },
  }: BpeTables) {
    if (wrong !== -1) throw noToken(...texts.parts(wrong), vocabulary)
    this.#ids = ids
    this.#slots = room(texts.length)
    tables().pairSlots(ids, this.#slots)
  }

  /** its rank; NONE: they don't merge */
  find(left: number, right: number): number {
    return this.#slots[pairSlot(this.#ids, this.#slots, left, right)]!
  }

  made(rank: number): number {
    return this.#ids[3 * rank + 2]!
  }
}

/** Numbers, of which the smallest is taken first. */
class Heap {
  readonly #items: number[] = []

  push(item: number): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      if (items[up]! <= item) break
      items[at] = items[up]!
      at = up
    }
    items[at] = item
  }

  pop(): number | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (last === undefined || items.length === 0) return first
    let at = 0
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && items[child + 1]! < items[child]!) child++
      if (items[child]! >= last) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return first
  }
}
