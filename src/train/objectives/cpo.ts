/**
 * Contrastive preference optimisation as TRL 1.16's experimental CPOTrainer has it, SimPO and AlphaPO with it: the difference of both answers'
 * log-probabilities (sums; for simpo and ipo means over tokens; by AlphaPO bent by α) against no reference, and cpo_alpha times −log p of the
 * chosen answers, a mean over the tokens of a micro-batch. TRL's logits/chosen and logits/rejected are means over padding too, and are left out.
 */
import { type AnswerRows, PAIR } from '../../data/answer-rows.ts'
import { checkPairs, prepareAnswers } from '../../data/prepare-answers.ts'
import { answerKind } from '../../data/row-kind.ts'
import type { PassScores } from '../../engine/runner.ts'
import type { CpoTrainingOptions } from '../options/cpo-config.ts'
import { layPasses } from './lay-out.ts'
import type { Objective } from './objective.ts'
import { pairLosses, smoothed } from './pair-losses.ts'
import { batchTargetsOf, entryWeights, type Judged, lossOf, meansOf, once, partsOf, sequenceScore, sumsOf } from './sequences.ts'

const pairs: AnswerRows = { name: 'cpo', parts: PAIR, shape: 'pairs', tokens: 'orpo', check: checkPairs }

/** TRL's where none is given */
const MAX_LENGTH = 512

type Options = Pick<CpoTrainingOptions, 'beta' | 'lossType' | 'labelSmoothing' | 'cpoAlpha' | 'simpoGamma' | 'alpha'>

interface Pair extends Judged {
  /** log-probabilities of the answers, and the rewards made of them */
  chosen: number
  rejected: number
  c: number
  r: number
  likelihood: number
  dChosen: number
  dRejected: number
  dToken: number
}

/** AlphaPO's reward of a log-probability, and its slope */
export function bent(logp: number, alpha: number): readonly [reward: number, d: number] {
  if (alpha === 0) return [logp, 1]
  const power = Math.exp(-alpha * logp)
  return [(1 - power) / alpha, power]
}

export function cpo(options: Options): Objective {
  const { beta, labelSmoothing, simpoGamma, alpha } = options
  // alphapo is simpo without the likelihood
  const type = options.lossType === 'alphapo' ? 'simpo' : options.lossType
  const cpoAlpha = options.lossType === 'alphapo' ? 0 : options.cpoAlpha
  const averaged = type === 'ipo' || type === 'simpo'
  const settings = { beta, labelSmoothing, discopopTau: 1 }

  /** of the difference of both rewards */
  const lossAt = (margin: number): readonly [loss: number, d: number] => {
    if (type === 'simpo') return smoothed(margin - simpoGamma / beta, settings)
    if (type === 'sigmoid') return smoothed(margin, settings)
    const [loss, d] = pairLosses[type].of(margin, 0, settings, { chosen: 1, rejected: 1 })
    return [loss, d]
  }

  const judge = once((pass, scores: PassScores, laid): Pair[] =>
    partsOf(
      pass,
      sumsOf(pass, scores, () => 1),
    ).map(([example, [own, other]]): Pair => {
      const batch = laid.batchOf[example]!
      const [n, m] = averaged ? [own!.targets, other!.targets] : [1, 1]
      const [chosen, rejected] = [own!.logp / n, other!.logp / m]
      const [[c, dC], [r, dR]] = [bent(chosen, alpha), bent(rejected, alpha)]
      const [loss, d] = lossAt(c - r)
      const [share, token] = [1 / laid.batchSizes[batch]!, 1 / batchTargetsOf(laid, 0)[batch]!]
      const likelihood = cpoAlpha === 0 ? 0 : -own!.logp * token
      return {
        example,
        ...{ chosen, rejected, c, r, likelihood },
        loss: share * loss + cpoAlpha * likelihood,
        dChosen: (share * d * dC) / n,
        dRejected: (-share * d * dR) / m,
        dToken: -cpoAlpha * token,
      }
    }),
  )
  const mean = meansOf(judge)

  const own = { together: 'example', score: sequenceScore } as const

  return {
    name: 'cpo',
    ...own,
    rows: (dataset) => answerKind(dataset, pairs),
    prepare: (dataset, tokenizer, o: CpoTrainingOptions, { signal, making }) =>
      prepareAnswers(dataset, tokenizer, pairs, { maxLength: o.maxLength ?? MAX_LENGTH, truncationMode: 'keep_start', signal, making }),
    layOut: (batches, cut) => ({ ...layPasses(batches, cut, own), normaliser: batches.length }),
    still: true,
    balancedWhereAsked: true,
    async run(runner, pass, inputs, laid, signal) {
      if (!runner.spec.gradients) return runner.run(pass, inputs, signal)
      const weigh = (scores: PassScores) => {
        const slopes = new Map(judge(pass, scores, laid).map((pair) => [pair.example, pair]))
        return entryWeights(pass, ({ sequence }) => {
          const { example, part } = pass.sequences[sequence]!
          const { dChosen, dRejected, dToken } = slopes.get(example)!
          return part === 0 ? dChosen + dToken : dRejected
        })
      }
      return runner.runWeighed(pass, inputs, weigh, signal)
    },
    facts: { beta, lossType: type, labelSmoothing, cpoAlpha, simpoGamma, alpha },
    loss: lossOf(judge),
    metrics: [
      mean('rewards/chosen', null, ({ c }) => beta * c),
      mean('rewards/rejected', null, ({ r }) => beta * r),
      mean('rewards/accuracies', 'accuracy', ({ c, r }) => (c > r ? 1 : 0)),
      mean('rewards/margins', 'margin', ({ c, r }) => beta * (c - r)),
      mean('logps/rejected', null, ({ rejected }) => rejected),
      mean('logps/chosen', null, ({ chosen }) => chosen),
      {
        name: 'nll_loss',
        label: null,
        of: 'batch',
        sum: (pass, scores, laid) => judge(pass, scores, laid).reduce((sum, { likelihood }) => sum + likelihood, 0),
      },
    ],
  }
}
