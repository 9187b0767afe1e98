/**
 * The rows of one optimizer step, cut into passes. Rows that begin alike (`minShared` tokens or more) share those tokens: computed
 * once. The cut is a function of the rows and `maxPassTokens` alone, so that a run gives the same bits wherever it runs:
 *   sequences -> sorted, neighbours compared -> groups that begin alike -> groups too large split -> first fit decreasing -> passes
 */
import { type Message, option, SaqrError, say } from '../error.ts'
import type { Example } from './example.ts'
import { type Branch, layOut, type Pass, type Sequence } from './trie.ts'

export type { Pass } from './trie.ts'

export interface PassOptions {
  /** most tokens of a pass, pads included; need not be a multiple of `quantum` */
  maxPassTokens: number
  /** default true; off where dropout or embedding noise makes equal beginnings differ */
  prefixSharing?: boolean
  /** shortest shared beginning, tokens; default 16, below the 30 or 31 that Alpaca's preamble has in the vocabularies of Qwen 3 and Llama 3 */
  minShared?: number
  /** T is a multiple of this, or `maxPassTokens` where that is less than the next multiple: the limit is kept, at some speed; default 128 */
  quantum?: number
  /** of each example: is it computed as a long one? Long rows and others share nothing; default: none is */
  long?: readonly boolean[]
  /** what no pass may cut; default: rows go where there is room */
  whole?: Whole
  /** a head position for each entry: where rows part, several of one token; default: one, of several entries */
  entryAlone?: boolean
}

/** shortest shared beginning, tokens */
export const LEAST_SHARED = 16

/** Rows that stay together: examples of several sequences, or micro-batches. */
export interface Whole {
  /** the number of each example's */
  of: ArrayLike<number>
  /** how many a pass may hold; default: any */
  most?: number
  /** what they are, and what to do about one that fits no pass */
  what: string
  remedy: Message
  /** are they kept apart in `batchRows`? default: no */
  apart?: boolean
}

/** What is placed as a whole: branches, the first of which shares nothing. */
interface Group {
  branches: Branch[]
  tokens: number
  /** smallest row number: where the group stands in the order of rows */
  first: number
}

/**
 * Passes that together hold every sequence of `examples` once.
 * @throws SaqrError DATA_ROW_TOO_LONG: a sequence, or a micro-batch that no pass may cut, of more tokens than `maxPassTokens`
 */
export function planPasses(examples: readonly Example[], options: PassOptions): Pass[] {
  const { maxPassTokens, prefixSharing = true, minShared = LEAST_SHARED, quantum = 128, whole } = options
  const sequences = sequencesOf(examples, options)
  const grouped = (list: readonly Sequence[]) =>
    prefixSharing ? sharing(list, Math.max(1, minShared), maxPassTokens) : list.map((s) => alone(s))
  const bins = whole ? wholeUnits(sequences, whole, maxPassTokens, grouped) : firstFit(grouped(sequences), maxPassTokens)
  return bins.map((bin) => {
    const branches = bin.groups.sort((a, b) => a.first - b.first).flatMap((g) => g.branches)
    return layOut(branches, Math.min(paddedTokens(bin.tokens, quantum), maxPassTokens), options.entryAlone)
  })
}

interface Bin {
  groups: Group[]
  tokens: number
}

/** Units put together, each whole. Rows share beginnings across them: that only leaves tokens out. */
function wholeUnits(
  sequences: readonly Sequence[],
  { of, most, what, remedy }: Whole,
  maxPassTokens: number,
  grouped: (list: readonly Sequence[]) => Group[],
): Bin[] {
  const byUnit = new Map<number, Sequence[]>()
  for (const sequence of sequences) {
    const unit = of[sequence.example]!
    const list = byUnit.get(unit)
    if (list) list.push(sequence)
    else byUnit.set(unit, [sequence])
  }
  const units = [...byUnit.values()].map((list): Group => {
    const tokens = grouped(list).reduce((sum, group) => sum + group.tokens, 0)
    if (tokens > maxPassTokens)
      throw new SaqrError(
        'DATA_ROW_TOO_LONG',
        say`${what} of ${list.length} rows, ${tokens} tokens, does not fit a pass of ${maxPassTokens}${remedy}`,
      )
    return { branches: list.map((sequence) => ({ sequence, shared: 0 })), tokens, first: list[0]!.row }
  })
  return firstFit(units, maxPassTokens, most).map((bin) => {
    const groups = grouped(bin.groups.flatMap(({ branches }) => branches.map(({ sequence }) => sequence)))
    return { groups, tokens: groups.reduce((sum, group) => sum + group.tokens, 0) }
  })
}

/** T of a pass: a multiple of `quantum`; above 4,096 also of a sixteenth of the power of two below it, so that few sizes occur. */
export function paddedTokens(tokens: number, quantum: number): number {
  let step = quantum
  if (tokens > 4096) {
    const sixteenth = 2 ** (Math.ceil(Math.log2(tokens)) - 1) / 16
    step = Math.ceil(sixteenth / quantum) * quantum
  }
  return Math.ceil(tokens / step) * step
}

function sequencesOf(examples: readonly Example[], { maxPassTokens, long, whole }: PassOptions): Sequence[] {
  const sequences: Sequence[] = []
  for (const [example, { ids, targets, starts, row, source }] of examples.entries()) {
    const bounds = starts ?? [0]
    for (let i = 0; i < bounds.length; i++) {
      const from = bounds[i]!
      const to = bounds[i + 1] ?? ids.length
      if (to - from > maxPassTokens) {
        throw new SaqrError(
          'DATA_ROW_TOO_LONG',
          say`${source}, row ${row}: ${to - from} tokens do not fit a pass of ${maxPassTokens}. Set ${option('maxLength')} to ${maxPassTokens} or less, or allow larger passes (${option('maxPassTokens')}).`,
        )
      }
      if (to === from) continue
      const tokens = { ids: ids.subarray(from, to), targets: targets.subarray(from, to) }
      const batch = whole?.apart ? whole.of[example]! : 0
      sequences.push({ ...tokens, row: sequences.length, example, part: i, batch, long: long?.[example] ?? false })
    }
  }
  return sequences
}

const alone = (sequence: Sequence): Group => ({ branches: [{ sequence, shared: 0 }], tokens: sequence.ids.length, first: sequence.row })

/**
 * Sorted by their tokens, rows that begin alike are neighbours, and a row's longest shared beginning is the one it has with the row
 * before it. A group too large for a pass is filled row by row and goes on in a new one.
 */
function sharing(sequences: readonly Sequence[], minShared: number, maxPassTokens: number): Group[] {
  const sorted = [...sequences].sort(byTokens)
  const groups: Group[] = []
  let group: Group | undefined
  let before: Sequence | undefined
  for (const sequence of sorted) {
    const shared = before && before.long === sequence.long ? commonLength(before.ids, sequence.ids) : 0
    const added = sequence.ids.length - shared
    if (group && shared >= minShared && group.tokens + added <= maxPassTokens) {
      group.branches.push({ sequence, shared })
      group.tokens += added
      group.first = Math.min(group.first, sequence.row)
    } else groups.push((group = alone(sequence)))
    before = sequence
  }
  return groups
}

/** Bins in the order of their first rows, of at most `most` groups each. */
function firstFit(groups: readonly Group[], maxPassTokens: number, most = Number.POSITIVE_INFINITY): Bin[] {
  const bins: { groups: Group[]; tokens: number; first: number }[] = []
  for (const group of [...groups].sort((a, b) => b.tokens - a.tokens || a.first - b.first)) {
    const bin = bins.find((b) => b.tokens + group.tokens <= maxPassTokens && b.groups.length < most)
    if (bin) {
      bin.groups.push(group)
      bin.tokens += group.tokens
      bin.first = Math.min(bin.first, group.first)
    } else bins.push({ groups: [group], tokens: group.tokens, first: group.first })
  }
  return bins.sort((a, b) => a.first - b.first)
}

export function commonLength(a: Int32Array, b: Int32Array): number {
  const n = Math.min(a.length, b.length)
  let i = 0
  while (i < n && a[i] === b[i]) i++
  return i
}

/** long rows last; by tokens, then the shorter one, then the order of rows */
function byTokens(a: Sequence, b: Sequence): number {
  if (a.long !== b.long) return Number(a.long) - Number(b.long)
  const i = commonLength(a.ids, b.ids)
  if (i < a.ids.length && i < b.ids.length) return a.ids[i]! - b.ids[i]!
  return a.ids.length - b.ids.length || a.row - b.row
}
