/**
 * Odds ratio preference optimisation as TRL 1.16's ORPOTrainer has it: −log p of the chosen rows, prompt included, a mean over the tokens of a
 * micro-batch, and β times the loss of the odds of both answers, whose log-probabilities are means over their tokens. There is no reference.
 * TRL's logits/chosen and logits/rejected are means over padding too, and are left out.
 */
import { type AnswerRows, PAIR } from '../../data/answer-rows.ts'
import { checkPairs, prepareAnswers } from '../../data/prepare-answers.ts'
import { answerKind } from '../../data/row-kind.ts'
import type { PassScores } from '../../engine/runner.ts'
import type { OrpoTrainingOptions } from '../options/orpo-config.ts'
import { layPasses } from './lay-out.ts'
import type { LaidOut, Objective } from './objective.ts'
import { sigmoid, softplus } from './pair-losses.ts'
import { entryWeights, type Judged, lossOf, meansOf, once, partsOf, sequenceScore, sumsOf, type Target } from './sequences.ts'

/** of the chosen row everything is learned, of the rejected one the answer is scored */
const pairs: AnswerRows = {
  name: 'orpo',
  parts: PAIR,
  shape: 'pairs',
  tokens: 'orpo',
  learned: (part, i, prompt) => part === 0 || i >= prompt,
  check: checkPairs,
}

/** TRL's where none is given */
const MAX_LENGTH = 512

interface Pair extends Judged {
  /** means of log-probabilities of the answers' tokens */
  chosen: number
  rejected: number
  /** of the chosen row, prompt included: the part in its micro-batch's mean */
  likelihood: number
  logOdds: number
  /** d loss / d log-probability of a token of each answer, and of each token of the chosen row beside */
  dChosen: number
  dRejected: number
  dToken: number
}

/** log (1 − e^x), x < 0 */
const log1mexp = (x: number): number => (x < -Math.LN2 ? Math.log1p(-Math.exp(x)) : Math.log(-Math.expm1(x)))

/** half of an f32's last bit below 1: a probability nearer to 1 is 1 there, and its log-probability 0 */
const NEAREST = -(2 ** -25)

/**
 * Loss of the odds of two mean log-probabilities, and its slopes. The odds of a probability that has been rounded to 1 are those of the nearest
 * that would not have been; TRL's are infinite, and its loss is no number.
 */
export function oddsRatio(one: number, other: number): { logOdds: number; loss: number; dChosen: number; dRejected: number } {
  const [chosen, rejected] = [Math.min(one, NEAREST), Math.min(other, NEAREST)]
  const logOdds = chosen - rejected - (log1mexp(chosen) - log1mexp(rejected))
  const d = -sigmoid(-logOdds)
  return { logOdds, loss: softplus(logOdds), dChosen: -d / Math.expm1(chosen), dRejected: d / Math.expm1(rejected) }
}

export function orpo({ beta }: Pick<OrpoTrainingOptions, 'beta'>): Objective {
  const isAnswer = ({ at }: Target, prompt: number) => at >= Math.max(1, prompt)

  const judge = once((pass, scores: PassScores, laid: LaidOut): Pair[] => {
    const prompt = ({ sequence }: Target) => {
      const { example, part } = pass.sequences[sequence]!
      return laid.examples[example]!.prompts![part]!
    }
    const answers = partsOf(
      pass,
      sumsOf(pass, scores, (target) => (isAnswer(target, prompt(target)) ? 1 : Number.NaN)),
    )
    const rows = new Map(
      partsOf(
        pass,
        sumsOf(pass, scores, () => 1),
      ),
    )
    return answers.map(([example, [chosen, rejected]]): Pair => {
      const batch = laid.batchOf[example]!
      const pairsThere = laid.batchSizes[batch]!
      const tokensThere = chosenTokens(laid)[batch]!
      const means = [chosen!.logp / chosen!.targets, rejected!.logp / rejected!.targets] as const
      const odds = oddsRatio(...means)
      const likelihood = -rows.get(example)![0]!.logp / tokensThere
      return {
        example,
        chosen: means[0],
        rejected: means[1],
        likelihood,
        logOdds: odds.logOdds,
        loss: likelihood + (beta * odds.loss) / pairsThere,
        dChosen: (beta * odds.dChosen) / (pairsThere * chosen!.targets),
        dRejected: (beta * odds.dRejected) / (pairsThere * rejected!.targets),
        dToken: -1 / tokensThere,
      }
    })
  })
  const mean = meansOf(judge)

  const own = { together: 'example', score: sequenceScore } as const

  return {
    name: 'orpo',
    ...own,
    rows: (dataset) => answerKind(dataset, pairs),
    prepare: (dataset, tokenizer, o: OrpoTrainingOptions, { signal, making }) =>
      prepareAnswers(dataset, tokenizer, pairs, { maxLength: o.maxLength ?? MAX_LENGTH, truncationMode: 'keep_start', signal, making }),
    layOut: (batches, cut) => ({ ...layPasses(batches, cut, own), normaliser: batches.length }),
    still: true,
    balancedWhereAsked: true,
    async run(runner, pass, inputs, laid, signal) {
      if (!runner.spec.gradients) return runner.run(pass, inputs, signal)
      const weigh = (scores: PassScores) => {
        const slopes = new Map(judge(pass, scores, laid).map((pair) => [pair.example, pair]))
        return entryWeights(pass, (target) => {
          const { example, part } = pass.sequences[target.sequence]!
          const { dChosen, dRejected, dToken } = slopes.get(example)!
          if (part === 1) return dRejected
          return dToken + (isAnswer(target, laid.examples[example]!.prompts![0]!) ? dChosen : 0)
        })
      }
      return runner.runWeighed(pass, inputs, weigh, signal)
    },
    facts: { beta },
    loss: lossOf(judge),
    metrics: [
      mean('rewards/chosen', null, ({ chosen }) => beta * chosen),
      mean('rewards/rejected', null, ({ rejected }) => beta * rejected),
      mean('rewards/accuracies', 'accuracy', ({ chosen, rejected }) => (chosen > rejected ? 1 : 0)),
      mean('rewards/margins', 'margin', ({ chosen, rejected }) => beta * (chosen - rejected)),
      mean('logps/rejected', null, ({ rejected }) => rejected),
      mean('logps/chosen', null, ({ chosen }) => chosen),
      {
        name: 'nll_loss',
        label: null,
        of: 'batch',
        sum: (pass, scores, laid) => judge(pass, scores, laid).reduce((sum, { likelihood }) => sum + likelihood, 0),
      },
      mean('log_odds_ratio', null, ({ logOdds }) => -softplus(logOdds)),
      mean('log_odds_chosen', null, ({ logOdds }) => logOdds),
    ],
  }
}

const counted = new WeakMap<LaidOut, Float64Array>()

/** tokens of the chosen rows of each micro-batch that something predicts */
function chosenTokens(laid: LaidOut): Float64Array {
  let tokens = counted.get(laid)
  if (!tokens) {
    tokens = new Float64Array(laid.batchSizes.length)
    for (const [i, { starts }] of laid.examples.entries()) tokens[laid.batchOf[i]!]! += starts![1]! - 1
    counted.set(laid, tokens)
  }
  return tokens
}
