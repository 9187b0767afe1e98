/** Cases as tools/oracle/sampling.py writes them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { penalise } from '../../src/generate/sample.ts'
import { type Shaping, shaped } from '../../src/generate/shape.ts'

export interface SamplingCase {
  /** by transformers' names */
  given: Record<string, number>
  logits: number[]
  prompt: number[]
  answer: number[]
  probs: number[]
}

export function samplingCases(folder: string): SamplingCase[] {
  return JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'))
}

export function shapingOf({ given }: SamplingCase): Shaping {
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name.replace(/_(.)/g, (_, c: string) => c.toUpperCase()), value]))
}

/** probabilities that tokens are drawn with */
export function probabilities(one: SamplingCase): number[] {
  const shaping = shapingOf(one)
  const counts = new Map<number, number>()
  for (const id of one.answer) counts.set(id, (counts.get(id) ?? 0) + 1)
  const { ids, weights } = shaped(penalise(Float32Array.from(one.logits), one.prompt, counts, shaping), shaping)
  const total = weights.reduce((a, b) => a + b, 0)
  const probs = one.logits.map(() => 0)
  for (let i = 0; i < ids.length; i++) probs[ids[i]!] = weights[i]! / total
  return probs
}

/** the largest difference of a probability */
export const off = (one: SamplingCase) => Math.max(...probabilities(one).map((p, i) => Math.abs(p - one.probs[i]!)))
