/** The rows of each optimizer step as passes, and what an epoch of them comes to. */
import type { Example } from '../data/example.ts'
import type { Pass } from '../data/passes.ts'
import type { Sampler } from '../data/sampler.ts'
import type { CutOptions, LaidOut, Objective } from './objectives/objective.ts'

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
