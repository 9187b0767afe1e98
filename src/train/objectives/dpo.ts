/**
 * Direct preference optimisation as TRL 1.16's DPOTrainer has it: of each pair, how much likelier than under the reference the chosen answer
 * has become, and the rejected one. The loss is the mean over the pairs of a micro-batch, of which a step takes the mean; chosen and rejected
 * lie in one pass, their prompt computed once.
 */

import { type AnswerRows, PAIR } from '../../data/answer-rows.ts'
import type { Pass } from '../../data/passes.ts'
import { checkPairs, prepareAnswers } from '../../data/prepare-answers.ts'
import { answerKind } from '../../data/row-kind.ts'
import type { PassScores } from '../../engine/runner.ts'
import type { DpoTrainingOptions } from '../options/dpo-config.ts'
import { KeptScores } from './kept-scores.ts'
import { layPasses } from './lay-out.ts'
import type { LaidOut, Metric, Objective, Together } from './objective.ts'
import { diverged, type PairLoss, type PairSettings, pairLosses, smoothed } from './pair-losses.ts'
import {
  batchTargetsOf,
  entryWeights,
  type Judged,
  lengthsOf,
  lossOf,
  meansOf,
  once,
  partsOf,
  type Sums,
  sequenceScore,
  sumsOf,
  type Target,
  targetsOfParts,
} from './sequences.ts'

/** losses of the margins of a micro-batch in their order */
const SORTED: ReadonlySet<string> = new Set(['aot', 'aot_unpaired'])

const pairs: AnswerRows = { name: 'dpo', parts: PAIR, shape: 'pairs', tokens: 'answered', check: checkPairs }

/** sequences of an example */
const PART = { chosen: 0, rejected: 1 } as const

type Options = Pick<
  DpoTrainingOptions,
  | 'beta'
  | 'lossType'
  | 'lossWeights'
  | 'labelSmoothing'
  | 'discopopTau'
  | 'ldAlpha'
  | 'fDivergenceType'
  | 'fAlphaDivergenceCoef'
  | 'useWeighting'
>

/** What a pass says of one of its pairs. */
interface Pair extends Judged {
  chosen: Sums
  rejected: Sums
  /** log-ratios to the reference */
  c: number
  r: number
  /** WPO's: how likely the model finds both answers beside its own; 1 without */
  weight: number
  /** d loss / d log-probability of each answer, and of each chosen token beside */
  dChosen: number
  dRejected: number
  dToken: number
}

export function dpo(options: Options): Objective {
  const { beta, ldAlpha, useWeighting } = options
  const types = [options.lossType].flat()
  const weights = options.lossWeights ?? types.map(() => 1)
  const settings: PairSettings = { beta, labelSmoothing: options.labelSmoothing, discopopTau: options.discopopTau }
  const together: Together = types.some((type) => SORTED.has(type)) ? 'batch' : 'example'
  /** LD-DPO: what a longer answer has beyond the shorter one's length counts less */
  const weightOf = (pass: Pass, { examples }: LaidOut) => {
    if (ldAlpha === null) return () => 1
    const shared = pass.sequences.map(({ example }) => Math.min(...targetsOfParts(examples[example]!)))
    return ({ sequence, at }: Target) => {
      const { example, part } = pass.sequences[sequence]!
      const first = Math.max(1, examples[example]!.prompts![part]!)
      return at - first < shared[sequence]! ? 1 : ldAlpha
    }
  }

  /** of the chosen answer and of the rejected one */
  const references = new KeptScores(2, (pass, scores, laid) =>
    partsOf(pass, sumsOf(pass, scores, weightOf(pass, laid))).map(([example, [chosen, rejected]]) => [
      example,
      [chosen!.logp, rejected!.logp],
    ]),
  )

  const pairsOf = (pass: Pass, scores: PassScores, laid: LaidOut): Pair[] => {
    const parts = partsOf(pass, sumsOf(pass, scores, weightOf(pass, laid)))
    return parts.map(([example, [chosen, rejected]]) => {
      const [ofChosen, ofRejected] = references.get(laid.examples[example]!) as unknown as [number, number]
      const [c, r] = [chosen!.logp - ofChosen, rejected!.logp - ofRejected]
      const own = ({ plain, own, targets }: Sums) => Math.exp((plain - own) / Math.max(1, targets))
      const weight = useWeighting ? own(chosen!) * own(rejected!) : 1
      return { example, chosen: chosen!, rejected: rejected!, c, r, weight, loss: 0, dChosen: 0, dRejected: 0, dToken: 0 }
    })
  }

  /** every pair with its part in the loss of its micro-batch, and its slopes */
  const judge = once((pass, scores, laid) => {
    const pairs = pairsOf(pass, scores, laid)
    for (const [i, type] of types.entries()) {
      if (type === 'sft') addLikelihood(pairs, laid, weights[i]!)
      else if (type === 'aot' || type === 'aot_unpaired') addSorted(pairs, laid, weights[i]!, type, settings, references)
      else addPairs(pairs, laid, weights[i]!, pairLosses[type], settings, options)
    }
    return pairs
  })
  const mean = meansOf(judge)
  /** a mean over the tokens of a micro-batch's answers, of those that are meant */
  const ofTokens = (name: string, sides: readonly ('chosen' | 'rejected')[], of: (sums: Sums) => number): Metric => ({
    name,
    label: null,
    of: 'batch',
    sum(pass, scores, laid) {
      const all = (batch: number) => sides.reduce((n, side) => n + batchTargetsOf(laid, PART[side])[batch]!, 0)
      let sum = 0
      for (const pair of judge(pass, scores, laid)) for (const side of sides) sum += of(pair[side]) / all(laid.batchOf[pair.example]!)
      return sum
    },
  })

  const own = { together, score: sequenceScore }

  return {
    name: 'dpo',
    ...own,
    rows: (dataset) => answerKind(dataset, pairs),
    prepare: (dataset, tokenizer, o: DpoTrainingOptions, { signal, making }) =>
      prepareAnswers(dataset, tokenizer, pairs, { maxLength: o.maxLength, truncationMode: o.truncationMode, signal, making }),
    layOut: (batches, cut) => ({ ...layPasses(batches, cut, own), normaliser: batches.length }),
    still: true,
    async run(runner, pass, inputs, laid, signal) {
      if (!runner.spec.gradients) return runner.run(pass, inputs, signal)
      const weigh = (scores: PassScores) => {
        const slopes = new Map(judge(pass, scores, laid).map((pair) => [pair.example, pair]))
        const weight = weightOf(pass, laid)
        return entryWeights(pass, (target) => {
          const { example, part } = pass.sequences[target.sequence]!
          const { dChosen, dRejected, dToken } = slopes.get(example)!
          return part === 0 ? weight(target) * dChosen + dToken : weight(target) * dRejected
        })
      }
      return runner.runWeighed(pass, inputs, weigh, signal)
    },
    reference: references,
    facts: {
      beta,
      lossType: types.join(),
      lossWeights: weights.join(),
      labelSmoothing: options.labelSmoothing,
      discopopTau: options.discopopTau,
      ldAlpha,
      fDivergenceType: options.fDivergenceType,
      fAlphaDivergenceCoef: options.fAlphaDivergenceCoef,
      useWeighting,
    },
    loss: lossOf(judge),
    metrics: [
      ofTokens('entropy', ['chosen', 'rejected'], ({ entropy }) => entropy),
      ofTokens('logits/chosen', ['chosen'], ({ logits }) => logits),
      ofTokens('logits/rejected', ['rejected'], ({ logits }) => logits),
      ofTokens('mean_token_accuracy', ['chosen'], ({ likeliest }) => likeliest),
      mean('rewards/chosen', null, ({ c }) => beta * c),
      mean('rewards/rejected', null, ({ r }) => beta * r),
      mean('rewards/accuracies', 'accuracy', ({ c, r }) => (beta * c > beta * r ? 1 : 0)),
      mean('rewards/margins', 'margin', ({ c, r }) => beta * (c - r)),
      mean('logps/chosen', null, ({ chosen }) => chosen.logp),
      mean('logps/rejected', null, ({ rejected }) => rejected.logp),
    ],
  }
}

/** the mean over the pairs of each micro-batch */
function addPairs(
  pairs: Pair[],
  laid: LaidOut,
  factor: number,
  loss: PairLoss,
  settings: PairSettings,
  { fDivergenceType, fAlphaDivergenceCoef }: Options,
) {
  for (const pair of pairs) {
    const share = (factor * pair.weight) / laid.batchSizes[laid.batchOf[pair.example]!]!
    const [c, dc] = loss.divergent ? diverged(pair.c, fDivergenceType, fAlphaDivergenceCoef) : [pair.c, 1]
    const [r, dr] = loss.divergent ? diverged(pair.r, fDivergenceType, fAlphaDivergenceCoef) : [pair.r, 1]
    const [chosen, rejected] = lengthsOf(laid.examples[pair.example]!)
    const [value, dC, dR] = loss.of(c, r, settings, { chosen: Math.max(1, chosen!), rejected: Math.max(1, rejected!) })
    pair.loss += share * value
    pair.dChosen += share * dC * dc
    pair.dRejected += share * dR * dr
  }
}

/** −log p of the chosen answers, the mean over their tokens in each micro-batch */
function addLikelihood(pairs: Pair[], laid: LaidOut, factor: number) {
  for (const pair of pairs) {
    const share = factor / batchTargetsOf(laid, PART.chosen)[laid.batchOf[pair.example]!]!
    pair.loss -= share * pair.chosen.plain
    pair.dToken -= share
  }
}

/** Margins of a micro-batch in their order, each against the one of the same rank: of the reference, or of the rejected answers. */
function addSorted(
  pairs: Pair[],
  laid: LaidOut,
  factor: number,
  type: 'aot' | 'aot_unpaired',
  settings: PairSettings,
  references: KeptScores,
) {
  for (const batch of new Set(pairs.map(({ example }) => laid.batchOf[example]!))) {
    const own = pairs.filter(({ example }) => laid.batchOf[example] === batch)
    const share = factor / own.length
    const sorted = (of: (pair: Pair) => number) => own.map((pair) => ({ pair, value: of(pair) })).sort((a, b) => a.value - b.value)
    const reference = (pair: Pair) => {
      const [chosen, rejected] = references.get(laid.examples[pair.example]!) as unknown as [number, number]
      return chosen - rejected
    }
    const above = type === 'aot' ? sorted(({ chosen, rejected }) => chosen.logp - rejected.logp) : sorted(({ c }) => c)
    const below = type === 'aot' ? sorted(reference) : sorted(({ r }) => r)
    for (const [rank, { pair, value }] of above.entries()) {
      const [loss, d] = smoothed(value - below[rank]!.value, settings)
      pair.loss += share * loss
      pair.dChosen += share * d
      const other = type === 'aot' ? pair : below[rank]!.pair
      other.dRejected -= share * d
    }
  }
}
