/** The rows of each optimizer step as passes, and what an epoch of them comes to. */
import type { Example } from '../data/example.ts'
import { longestSequence } from '../data/long.ts'
import { commonLength, LEAST_SHARED, type Pass } from '../data/passes.ts'
import type { Sampler } from '../data/sampler.ts'
import type { CutOptions, LaidOut, Objective, Together } from './objectives/objective.ts'

export interface StepData extends LaidOut {
  /** rows' tokens, tokens computed */
  rowTokens: number
  computedTokens: number
  rows: number
}

export function stepData(objective: Objective, examples: readonly Example[], sampler: Sampler, step: number, cut: CutOptions): StepData {
  const batches = sampler.batches(step).map((batch) => batch.map((i) => examples[i]!))
  return layOut(objective, batches, cut)
}

export function layOut(objective: Objective, batches: readonly (readonly Example[])[], cut: CutOptions): StepData {
  const laid = objective.layOut(batches, cut)
  const sum = (of: (pass: Pass) => number) => laid.passes.reduce((n, pass) => n + of(pass), 0)
  return {
    ...laid,
    rowTokens: sum((p) => p.rowTokens),
    computedTokens: sum((p) => p.computedTokens),
    rows: batches.reduce((n, batch) => n + batch.length, 0),
  }
}

/**
 * Largest number of tokens that a step of `count` examples can have, and the most that one pass has to hold: the longest sequence, or what
 * stays together.
 */
export function bounds(
  examples: readonly Example[],
  count: number,
  together: Together = 'sequence',
  sharing = false,
): { longest: number; stepTokens: number } {
  // how many examples have so many tokens: of millions of rows no list is made, and they are gone through once
  const counts = new Map<number, number>()
  let longest = 0
  for (const example of examples) {
    const tokens = together === 'sequence' ? example.ids.length : heldTokens(example, sharing)
    counts.set(tokens, (counts.get(tokens) ?? 0) + 1)
    longest = Math.max(longest, together === 'sequence' ? longestSequence([example]) : tokens)
  }
  let stepTokens = 0
  let left = count
  for (const [tokens, n] of [...counts].sort(([a], [b]) => b - a)) {
    stepTokens += Math.min(n, left) * tokens
    left -= Math.min(n, left)
  }
  return { longest: together === 'batch' ? stepTokens : longest, stepTokens }
}

/** tokens computed for an example by itself: of two answers the prompt once */
function heldTokens({ ids, starts = Int32Array.of(0) }: Example, sharing: boolean): number {
  if (!sharing || starts.length !== 2) return ids.length
  const [first, second] = [ids.subarray(0, starts[1]), ids.subarray(starts[1])]
  const shared = commonLength(first, second)
  return ids.length - (shared >= LEAST_SHARED ? shared : 0)
}
