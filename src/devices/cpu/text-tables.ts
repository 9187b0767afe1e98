/** The tables of a vocabulary and of merges, made natively: native/text-tables.cpp, which says what each is. */
import type { TextTables } from '../../formats/text-tables.ts'
import type { Texts } from '../../formats/texts.ts'
import type { Native } from './library.ts'

const parts = ({ bytes, starts, gap }: Texts) => [bytes, starts, gap] as const

export const tablesBy = (native: Native): TextTables => ({
  textSlots(texts, slots) {
    const made = (repeated: Int32Array | null) => Number(native.textSlots(...parts(texts), texts.length, slots, slots.length, repeated))
    const count = made(null)
    const repeated = new Int32Array(count)
    if (count > 0) made(repeated)
    return repeated
  },
  mergeIds(tokens, slots, ids, merges, pairs, out) {
    return Number(native.mergeIds(...parts(tokens), slots, slots.length, ids, ...parts(merges), out.length / 3, Number(pairs), out))
  },
  notTwo: (merges) => Number(native.notTwo(...parts(merges), merges.length)),
  pairSlots(ids, slots) {
    native.pairSlots(ids, ids.length / 3, slots, slots.length)
  },
})
