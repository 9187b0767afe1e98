/** What a pass's scores say of each of its sequences, and weights of sequences as weights of entries. */
import type { Example } from '../../data/example.ts'
import type { Pass } from '../../data/passes.ts'
import type { PassScores } from '../../engine/runner.ts'
import type { HeadScore } from '../../graph/head.ts'
import { logitStats, STATS } from '../../ops/logit-stats/op.ts'
import { SCORES, targetLogProbs, targetLogProbsWithGradient } from '../../ops/target-log-probs/op.ts'
import type { LaidOut, Metric } from './objective.ts'

/** Log-probabilities and what is measured beside them; weights follow from the scores of the whole pass. */
export const sequenceScore: HeadScore = {
  width: SCORES,
  stats: STATS,
  later: true,
  apply(b, logits, gradients, first) {
    const scores = b.input('scores')
    if (first) logitStats(b, logits, b.input('stats'))
    if (gradients) return targetLogProbsWithGradient(b, logits, scores)
    targetLogProbs(b, logits, scores)
    return null
  },
}

/** tokens of each sequence's answer */
export function lengthsOf({ ids, starts, prompts }: Example): number[] {
  return prompts!.map((prompt, i) => (starts![i + 1] ?? ids.length) - starts![i]! - prompt)
}

/** targets of each sequence: nothing predicts a first token */
export function targetsOfParts(example: Example): number[] {
  return lengthsOf(example).map((length, i) => (example.prompts![i] === 0 ? Math.max(0, length - 1) : length))
}

const counted = new WeakMap<LaidOut, Map<string, Float64Array>>()

/** Targets in each micro-batch of its examples' sequences number `part`, of all examples or those that count. */
export function batchTargetsOf(laid: LaidOut, part: number, name = '', counts: (example: Example) => boolean = () => true): Float64Array {
  let known = counted.get(laid)
  if (!known) counted.set(laid, (known = new Map()))
  const key = `${part} ${name}`
  let targets = known.get(key)
  if (!targets) {
    targets = new Float64Array(laid.batchSizes.length)
    for (const [i, example] of laid.examples.entries()) if (counts(example)) targets[laid.batchOf[i]!]! += targetsOfParts(example)[part]!
    known.set(key, targets)
  }
  return targets
}

/** One target of one sequence. */
export interface Target {
  /** index into the pass's sequences */
  sequence: number
  /** the entry that scores it */
  entry: number
  /** its place among the tokens of the sequence */
  at: number
  /** index into the pass's head positions */
  position: number
}

/** Targets by entry, those of an entry that sequences share one after the other. */
export function* targetsOf({ depth, headPositions, headCount, entryStart, entrySequenceStart, entrySequence }: Pass): Generator<Target> {
  const target = { sequence: 0, entry: 0, at: 0, position: 0 }
  for (let position = 0; position < headCount; position++) {
    const at = depth[headPositions[position]!]! + 1
    for (let entry = entryStart[position]!; entry < entryStart[position + 1]!; entry++)
      for (let i = entrySequenceStart[entry]!; i < entrySequenceStart[entry + 1]!; i++)
        yield Object.assign(target, { sequence: entrySequence[i]!, entry, at, position })
  }
}

/** Sums over targets of a sequence. */
export interface Sums {
  targets: number
  /** of log-probabilities, each times its weight in the sequence */
  logp: number
  /** of them as they are */
  plain: number
  /** of the model's own expected log-probability, log Σ p² */
  own: number
  entropy: number
  /** targets that are the likeliest token */
  likeliest: number
  /** of the mean logit */
  logits: number
}

/**
 * The sums of each sequence, in the pass's order.
 * @param weight of a target in its sequence's log-probability; NaN: it is part of no sum
 */
export function sumsOf(pass: Pass, { entries, stats }: PassScores, weight: (target: Target) => number): Sums[] {
  const sums = pass.sequences.map((): Sums => ({ targets: 0, logp: 0, plain: 0, own: 0, entropy: 0, likeliest: 0, logits: 0 }))
  for (const target of targetsOf(pass)) {
    const w = weight(target)
    if (Number.isNaN(w)) continue
    const sum = sums[target.sequence]!
    const logp = entries[SCORES * target.entry]!
    sum.targets++
    sum.logp += w * logp
    sum.plain += logp
    sum.entropy += entries[SCORES * target.entry + 1]!
    sum.likeliest += entries[SCORES * target.entry + 2]!
    sum.logits += stats[STATS * target.position]!
    sum.own += stats[STATS * target.position + 1]!
  }
  return sums
}

/** What was summed of each example, by its sequences. */
export function partsOf(pass: Pass, sums: readonly Sums[]): [example: number, parts: Sums[]][] {
  const found = new Map<number, Sums[]>()
  for (const [s, { example, part }] of pass.sequences.entries()) {
    const parts = found.get(example) ?? []
    parts[part] = sums[s]!
    found.set(example, parts)
  }
  return [...found]
}

/** Of each entry the sum over its targets of −d loss / d log-probability: what the head's gradient is weighed with. */
export function entryWeights(pass: Pass, slope: (target: Target) => number): Float32Array {
  const weights = new Float64Array(pass.tokens)
  for (const target of targetsOf(pass)) weights[target.entry]! -= slope(target)
  return Float32Array.from(weights)
}

/** What is judged of an example in its micro-batch. */
export interface Judged {
  /** its place among those of the step */
  example: number
  /** its part in the loss */
  loss: number
}

type Judge<J extends Judged> = (pass: Pass, scores: PassScores, laid: LaidOut) => readonly J[]

/** A pass is judged once, whoever asks. */
export function once<J extends Judged>(judge: Judge<J>): Judge<J> {
  const seen = new WeakMap<PassScores, readonly J[]>()
  return (pass, scores, laid) => {
    let judged = seen.get(scores)
    if (!judged) seen.set(scores, (judged = judge(pass, scores, laid)))
    return judged
  }
}

export const lossOf = <J extends Judged>(judge: Judge<J>): Metric => ({
  name: 'loss',
  label: 'loss',
  of: 'step',
  sum: (pass, scores, laid) => judge(pass, scores, laid).reduce((sum, { loss }) => sum + loss, 0),
})

/** Means over the examples of a micro-batch. */
export const meansOf =
  <J extends Judged>(judge: Judge<J>) =>
  (name: string, label: string | null, of: (judged: J) => number): Metric => ({
    name,
    label,
    of: 'batch',
    sum: (pass, scores, laid) =>
      judge(pass, scores, laid).reduce((sum, judged) => sum + of(judged) / laid.batchSizes[laid.batchOf[judged.example]!]!, 0),
  })
