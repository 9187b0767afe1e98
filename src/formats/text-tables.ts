/**
 * What is made of a vocabulary's and of merges' texts before a model's first token, in steps by the hundred thousand. Where the native library is
 * open (devices/cpu/text-tables.ts) its code makes the same tables, slot by slot, many times as fast as JavaScript that was started just now.
 */
import type { Texts } from './texts.ts'

export const NONE = -1
/** of an empty text */
const SEED = 0x811c9dc5
const PRIME = 0x01000193

export interface TextTables {
  /** Fills `slots`, a power of two and more than there are texts, with places by hash, of equal texts the last. @returns places of those that an equal one comes after */
  textSlots(texts: Texts, slots: Int32Array): ArrayLike<number>
  /**
   * Into `out`, merge by merge: ids of the left part, the right one and the token they make.
   * @param slots of the tokens
   * @param ids of the tokens, by place
   * @param pairs two texts a merge, else one with a space in it
   * @returns the first of which one is no token; −1: none
   */
  mergeIds(tokens: Texts, slots: Int32Array, ids: Int32Array, merges: Texts, pairs: boolean, out: Int32Array): number
  /** The first that is not two texts with a space between; −1: all are. */
  notTwo(merges: Texts): number
  /** Fills `slots`, a power of two and more than there are merges, with ranks by a hash of the parts' ids, of equal pairs the last. @param ids as `mergeIds` gives them */
  pairSlots(ids: Int32Array, slots: Int32Array): void
}

/** The place of a text, or of two parts one behind the other, in a table of `textSlots`; −1: it is none of them. */
export function placeIn(
  texts: Texts,
  slots: Int32Array,
  bytes: Uint8Array,
  from: number,
  end: number,
  from2: number,
  end2: number,
): number {
  return slots[slotOf(texts, slots, bytes, from, end, from2, end2)]!
}

/** where it stands, or would */
function slotOf(texts: Texts, slots: Int32Array, bytes: Uint8Array, from: number, end: number, from2: number, end2: number): number {
  const mask = slots.length - 1
  let hash = SEED
  for (let i = from; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, PRIME)
  for (let i = from2; i < end2; i++) hash = Math.imul(hash ^ bytes[i]!, PRIME)
  // spreads what FNV-1a leaves in the high bits
  let slot = (hash ^ (hash >>> 15)) & mask
  for (;;) {
    const at = slots[slot]!
    if (at === NONE || isAt(texts, at, bytes, from, end, from2, end2)) return slot
    slot = (slot + 1) & mask
  }
}

/** Is the text at this place a part of `bytes`, or two parts one behind the other? */
function isAt(texts: Texts, at: number, bytes: Uint8Array, from: number, end: number, from2: number, end2: number): boolean {
  const { bytes: own, starts } = texts
  let i = starts[at]!
  if (at < 0 || texts.end(at) - i !== end - from + end2 - from2) return false
  for (let j = from; j < end; j++) if (own[i++] !== bytes[j]) return false
  for (let j = from2; j < end2; j++) if (own[i++] !== bytes[j]) return false
  return true
}

/** The place of a pair's rank in a table of `pairSlots`, or where it would stand. */
export function pairSlot(ids: Int32Array, slots: Int32Array, left: number, right: number): number {
  const mask = slots.length - 1
  let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0
  slot = (slot ^ (slot >>> 15)) & mask
  for (;;) {
    const rank = slots[slot]!
    if (rank === NONE || (ids[3 * rank] === left && ids[3 * rank + 1] === right)) return slot
    slot = (slot + 1) & mask
  }
}

/** the first; the end where there is none */
export function spaceIn(bytes: Uint8Array, from: number, end: number): number {
  for (let i = from; i < end; i++) if (bytes[i] === 0x20) return i
  return end
}

export const inJavaScript: TextTables = {
  textSlots(texts, slots) {
    const { bytes, starts } = texts
    const repeated: number[] = []
    slots.fill(NONE)
    for (let at = 0; at < texts.length; at++) {
      const end = texts.end(at)
      const slot = slotOf(texts, slots, bytes, starts[at]!, end, end, end)
      if (slots[slot] !== NONE) repeated.push(slots[slot]!)
      slots[slot] = at
    }
    return repeated
  },

  mergeIds(tokens, slots, ids, merges, pairs, out) {
    const { bytes, starts } = merges
    const length = pairs ? merges.length / 2 : merges.length
    let last = NONE
    for (let i = 0; i < length; i++) {
      let from = starts[i]!
      let end = merges.end(i)
      let middle = spaceIn(bytes, from, end)
      let from2 = Math.min(middle + 1, end)
      if (pairs) {
        from = starts[2 * i]!
        middle = merges.end(2 * i)
        from2 = starts[2 * i + 1]!
        end = merges.end(2 * i + 1)
      } else end = spaceIn(bytes, from2, end)
      const left = placeIn(tokens, slots, bytes, from, middle, middle, middle)
      const right = placeIn(tokens, slots, bytes, from2, end, end, end)
      // mostly what the merge before made, by another way, or the token behind that
      let both = last
      if (last === NONE || !isAt(tokens, both, bytes, from, middle, from2, end)) {
        both++
        if (!isAt(tokens, both, bytes, from, middle, from2, end)) both = placeIn(tokens, slots, bytes, from, middle, from2, end)
      }
      if (left === NONE || right === NONE || both === NONE) return i
      last = both
      out[3 * i] = ids[left]!
      out[3 * i + 1] = ids[right]!
      out[3 * i + 2] = ids[both]!
    }
    return NONE
  },

  notTwo(merges) {
    const { bytes, starts } = merges
    for (let i = 0; i < merges.length; i++) {
      const from = starts[i]!
      const stop = merges.end(i)
      const space = spaceIn(bytes, from, stop)
      if (space === from || space >= stop - 1 || spaceIn(bytes, space + 1, stop) !== stop) return i
    }
    return NONE
  },

  pairSlots(ids, slots) {
    slots.fill(NONE)
    for (let rank = 0; 3 * rank < ids.length; rank++) slots[pairSlot(ids, slots, ids[3 * rank]!, ids[3 * rank + 1]!)] = rank
  },
}

/** who makes them */
let maker: TextTables = inJavaScript

export const tables = (): TextTables => maker

/** From now on these are made by another: the same tables. */
export function makeTablesBy(other: TextTables): void {
  maker = other
}

/** Room for a table of so many, at most half of it taken. */
export const room = (count: number): Int32Array => new Int32Array(2 ** Math.ceil(Math.log2(Math.max(2, 2 * count))))
