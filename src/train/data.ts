/** The rows of each optimizer step as passes, and what an epoch of them comes to. */
import type { Example } from '../data/example.ts'
import { type Pass, planPasses } from '../data/passes.ts'
import type { Sampler } from '../data/sampler.ts'

export interface StepData {
  passes: Pass[]
  /** rows' tokens, tokens computed, targets */
  rowTokens: number
  computedTokens: number
  targets: number
  rows: number
}

export interface CutOptions {
  maxPassTokens: number
  prefixSharing: boolean
  quantum: number
}

export function stepData(examples: readonly Example[], sampler: Sampler, step: number, cut: CutOptions): StepData {
  return cutRows(
    sampler
      .batches(step)
      .flat()
      .map((i) => examples[i]!),
    cut,
  )
}

export function cutRows(rows: readonly Example[], cut: CutOptions): StepData {
  const passes = planPasses(rows, cut)
  const sum = (of: (pass: Pass) => number) => passes.reduce((n, pass) => n + of(pass), 0)
  return {
    passes,
    rowTokens: sum((p) => p.rowTokens),
    computedTokens: sum((p) => p.computedTokens),
    targets: sum((p) => p.targets),
    rows: rows.length,
  }
}

/** Largest number of tokens that a step of `count` examples can have, and the longest sequence of any. */
export function bounds(examples: readonly Example[], count: number): { longest: number; stepTokens: number } {
  const lengths = Int32Array.from(examples, (e) => e.ids.length).sort()
  let stepTokens = 0
  for (let i = 0; i < Math.min(count, lengths.length); i++) stepTokens += lengths[lengths.length - 1 - i]!
  return { longest: longestSequence(examples), stepTokens }
}

/** packed examples are several sequences */
function longestSequence(examples: readonly Example[]): number {
  let longest = 0
  for (const { ids, starts } of examples) {
    const bounds = [...(starts ?? [0]), ids.length]
    for (let i = 1; i < bounds.length; i++) longest = Math.max(longest, bounds[i]! - bounds[i - 1]!)
  }
  return longest
}
