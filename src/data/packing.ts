/**
 * Several rows as one example of at most `maxLength` tokens, as TRL packs them: in runs of 1,000 rows (what `datasets.map` hands over at
 * a time). `bfd` is best fit decreasing (Ding et al. 2024, "Fewer Truncations Improve Language Modeling"): the longest row first, each into
 * the fullest example that holds it.
 */
import { option, SaqrError, say } from '../error.ts'
import type { Example } from './example.ts'

/** bfd cuts rows longer than maxLength; bfd_split packs what is cut off too; wrapped cuts everywhere, without boundaries between rows. */
export type PackingStrategy = 'bfd' | 'bfd_split' | 'wrapped'

const run = 1000

export interface Packer {
  /** a row, and the packs that are done with it */
  add(example: Example): Example[]
  /** what is left */
  end(): Example[]
}

/** @throws SaqrError OPTION_INVALID: an unknown strategy */
export function packer(maxLength: number, strategy: PackingStrategy = 'bfd'): Packer {
  const packs = { bfd: bestFit, bfd_split: bestFitSplit, wrapped }[strategy]
  if (!packs) throw new SaqrError('OPTION_INVALID', say`${option('packingStrategy')} ${strategy} is not one of bfd, bfd_split, wrapped.`)
  let waiting: Example[] = []
  const end = () => {
    const rows = waiting
    waiting = []
    return rows.length === 0 ? [] : packs(rows, maxLength)
  }
  return { add: (example) => (waiting.push(example) < run ? [] : end()), end }
}

const bestFit = (examples: readonly Example[], maxLength: number) =>
  bins(
    examples.map((e) => part(e, 0, maxLength)),
    maxLength,
  )

const bestFitSplit = (examples: readonly Example[], maxLength: number) =>
  bins(
    examples.flatMap((e) => parts(e, maxLength)),
    maxLength,
  )

const wrapped = (examples: readonly Example[], maxLength: number) => parts(join(examples, false), maxLength)

function part(example: Example, from: number, length: number): Example {
  const to = from + length
  return { ...example, ids: example.ids.subarray(from, to), targets: example.targets.subarray(from, to) }
}

const parts = (example: Example, length: number) =>
  Array.from({ length: Math.ceil(example.ids.length / length) }, (_, i) => part(example, i * length, length))

function bins(rows: readonly Example[], maxLength: number): Example[] {
  const longestFirst = rows.filter((r) => r.ids.length > 0).sort((a, b) => b.ids.length - a.ids.length)
  const all: Example[][] = []
  const bySpace: Example[][][] = Array.from({ length: maxLength + 1 }, () => []) // bins with so much room, the oldest first
  for (const row of longestFirst) {
    const length = row.ids.length
    let space = length
    while (space < maxLength && bySpace[space]!.length === 0) space++
    let bin: Example[]
    if (space < maxLength) bin = bySpace[space]!.shift()!
    else all.push((bin = []))
    bin.push(row)
    bySpace[space - length]!.push(bin)
  }
  return all.map((bin) => join(bin, true))
}

function join(examples: readonly Example[], boundaries: boolean): Example {
  const total = examples.reduce((n, e) => n + e.ids.length, 0)
  const ids = new Int32Array(total)
  const targets = new Uint8Array(total)
  const starts = new Int32Array(examples.length)
  let at = 0
  for (const [i, example] of examples.entries()) {
    ids.set(example.ids, at)
    targets.set(example.targets, at)
    starts[i] = at
    at += example.ids.length
  }
  const { row, source } = examples[0]!
  return { ids, targets, row, source, ...(boundaries && { starts }) }
}
