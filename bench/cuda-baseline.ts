/** What a baseline's process prints, read; and saqr's numbers held against it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CudaCase } from './cuda-cases.ts'
import type { Line, Watched } from './cuda-watch.ts'

/** runs a baseline's program */
export const BASELINE = join(import.meta.dirname, 'cuda_baseline.py')

export interface CaseResult {
  case: string
  tokensPerSecond: number
  computedTokensPerSecond: number
  share: number
  atTheLimit: number | null
  stepSeconds: number
  firstStepSeconds: number
  losses: number[]
  gradNorms: number[]
  /** of a step, by the plan; absent where the case tells none */
  predictedSeconds?: number
  predictedBytes: number
  newSizeSeconds?: number[]
  opsMs?: Record<string, number>
  opsLimitMs?: Record<string, number>
  /** of the process by NVML: from the first step's planning on, and in the warm steps */
  peakBytes: number
  warmBytes: number
}

export interface BaselineResult {
  /** as it says it itself */
  said: string
  tokensPerSecond?: number
  firstStepSeconds?: number
  peakBytes: number
  cards: ReturnType<Watched['cards']>
  /** of every step: its micro-batches' losses */
  steps?: { losses: number[]; gradNorm: number }[]
}

/** by case, from the RES and STEPS lines */
export function told(lines: readonly Line[], memory: Watched['memory'], cards: Watched['cards']): Map<string, BaselineResult> {
  const results = new Map<string, BaselineResult>()
  // the weights are there once it says what they take
  let from = lines.find(({ text }) => text.includes(' trainable '))?.at ?? 0
  let latest: BaselineResult | undefined
  for (const { text, at } of lines) {
    if (text.startsWith('STEPS ') && latest) latest.steps = JSON.parse(text.slice(6))
    const found = /^RES \S+ \S+ (\S+): (.*)$/.exec(text)
    if (!found) continue
    const number = (pattern: RegExp) => (pattern.test(found[2]!) ? Number(pattern.exec(found[2]!)![1]) : undefined)
    latest = {
      said: text,
      tokensPerSecond: number(/median (\d+) tok/),
      firstStepSeconds: number(/first step ([\d.]+)s/),
      peakBytes: memory(from, at),
      cards: cards(from, at),
    }
    from = at
    results.set(found[1]!, latest)
  }
  return results
}

/** Logits of about 10 are rounded to 2⁻⁵ in bf16; a mean over a step's targets averages that away. */
const SPREAD = 5e-3

/**
 * The adapter begins as nothing, so the first losses are the same model's on the same tokens. Later ones go apart: adapters begin with
 * other random numbers. @throws Error where the first differ, or where a gradient norm is zero
 */
export function check(c: CudaCase, ours: CaseResult, { steps }: BaselineResult, rows: string): void {
  if (!ours.gradNorms.every((n) => n > 0)) throw new Error('a gradient norm is zero')
  if (!steps) return
  if (!steps.every(({ gradNorm }) => gradNorm > 0)) throw new Error("a gradient norm of the baseline's is zero")
  const first = weighted(c, steps[0]!.losses, JSON.parse(readFileSync(rows, 'utf8')))
  const off = Math.abs(ours.losses[0]! - first)
  if (!(off < SPREAD)) throw new Error(`first loss ${ours.losses[0]}, the baseline's is ${first}`)
}

/** micro-batches' mean losses as the mean over the step's targets: all tokens of a row but its first */
function weighted({ rows: r }: CudaCase, losses: readonly number[], rows: readonly number[][]): number {
  const targets = losses.map((_, k) => rows.slice(k * r.batch, (k + 1) * r.batch).reduce((sum, ids) => sum + ids.length - 1, 0))
  return losses.reduce((sum, loss, k) => sum + loss * targets[k]!, 0) / targets.reduce((a, b) => a + b, 0)
}
