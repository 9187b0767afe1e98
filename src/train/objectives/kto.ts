/**
 * Kahneman-Tversky optimisation as TRL 1.16's KTOTrainer has it: each answer by itself, wanted or not, against how far the model has gone from the
 * reference on answers to other prompts, a mean over a micro-batch that is held at 0 and above. Rows come in their order, and a micro-batch lies
 * in one pass.
 */

import type { AnswerRows } from '../../data/answer-rows.ts'
import { unhurried } from '../../data/breathe.ts'
import type { Example } from '../../data/example.ts'
import type { Pass } from '../../data/passes.ts'
import { prepareAnswers } from '../../data/prepare-answers.ts'
import { takenApart, wantedOf } from '../../data/rated.ts'
import { answerKind } from '../../data/row-kind.ts'
import type { PassScores } from '../../engine/runner.ts'
import { type Message, option, say } from '../../error.ts'
import type { KtoTrainingOptions } from '../options/kto-config.ts'
import { KeptScores } from './kept-scores.ts'
import { layPasses } from './lay-out.ts'
import type { LaidOut, Metric, Objective, Together } from './objective.ts'
import { sigmoid } from './pair-losses.ts'
import { batchTargetsOf, entryWeights, type Judged, lossOf, once, partsOf, type Sums, sequenceScore, sumsOf } from './sequences.ts'

const rated: AnswerRows = { name: 'kto', parts: ['answer'], shape: 'rated', tokens: 'answered', wanted: wantedOf }

type Options = Pick<KtoTrainingOptions, 'beta' | 'lossType' | 'desirableWeight' | 'undesirableWeight'>

interface Answer extends Judged {
  wanted: boolean
  sums: Sums
  /** log-ratio to the reference */
  ratio: number
  /** the micro-batch's distance from the reference */
  kl: number
  slope: number
}

/** Loss of an answer that is `ratio` likelier than under the reference, and its slope. */
export function ratedLoss(ratio: number, kl: number, wanted: boolean, beta: number): readonly [loss: number, d: number] {
  const x = wanted ? beta * (ratio - kl) : beta * (kl - ratio)
  return [sigmoid(-x), (wanted ? -beta : beta) * sigmoid(x) * sigmoid(-x)]
}

export function kto(options: Options): Objective {
  const { beta, desirableWeight, undesirableWeight } = options
  const estimated = options.lossType === 'kto'
  const together: Together = estimated ? 'batch' : 'example'

  const scored = (pass: Pass, scores: PassScores) =>
    partsOf(
      pass,
      sumsOf(pass, scores, () => 1),
    )

  /** of the row's own answer, and of its neighbour's to its prompt */
  const references = new KeptScores(2, (pass, scores) =>
    scored(pass, scores).map(([example, [own, other]]) => [example, [own!.logp, other?.logp ?? 0]]),
  )

  const judge = once((pass, scores: PassScores, laid: LaidOut): Answer[] => {
    const found = scored(pass, scores)
    const distances = new Float64Array(laid.batchSizes.length)
    for (const [example, [, other]] of found) {
      const batch = laid.batchOf[example]!
      if (other) distances[batch]! += (other.logp - references.get(laid.examples[example]!)[1]!) / laid.batchSizes[batch]!
    }
    return found.map(([example, [own]]): Answer => {
      const { wanted = false } = laid.examples[example]!
      const batch = laid.batchOf[example]!
      const kl = Math.max(0, distances[batch]!)
      const ratio = own!.logp - references.get(laid.examples[example]!)[0]!
      const [loss, d] = ratedLoss(ratio, kl, wanted, beta)
      const share = (wanted ? desirableWeight : undesirableWeight) / laid.batchSizes[batch]!
      return { example, wanted, sums: own!, ratio, kl, loss: share * loss, slope: share * d }
    })
  })

  /** a mean over those of a micro-batch's answers that are wanted, or not; of one that has none it is no value */
  const ofSide = (name: string, label: string | null, side: boolean, of: (answer: Answer) => number): Metric => ({
    name,
    label,
    of: 'batch',
    count: (laid) => answersOf(laid, side).filter((n) => n > 0).length,
    sum: (pass, scores, laid) =>
      judge(pass, scores, laid).reduce((sum, answer) => {
        return answer.wanted === side ? sum + of(answer) / answersOf(laid, side)[laid.batchOf[answer.example]!]! : sum
      }, 0),
  })
  const logitsOf = (name: string, side: boolean): Metric => ({
    name,
    label: null,
    of: 'batch',
    count: (laid) => sideTargets(laid, side).filter((n) => n > 0).length,
    sum: (pass, scores, laid) =>
      judge(pass, scores, laid).reduce((sum, { wanted, sums, example }) => {
        return wanted === side ? sum + sums.logits / sideTargets(laid, side)[laid.batchOf[example]!]! : sum
      }, 0),
  })
  const margins: Metric = {
    name: 'rewards/margins',
    label: null, // a log may be without it
    of: 'batch',
    count: (laid) => answersOf(laid, true).filter((n, batch) => n > 0 && answersOf(laid, false)[batch]! > 0).length,
    sum: (pass, scores, laid) =>
      judge(pass, scores, laid).reduce((sum, { wanted, ratio, example }) => {
        const batch = laid.batchOf[example]!
        const [own, others] = [answersOf(laid, wanted)[batch]!, answersOf(laid, !wanted)[batch]!]
        return others > 0 ? sum + ((wanted ? beta : -beta) * ratio) / own : sum
      }, 0),
  }

  const own = { together, score: sequenceScore }

  return {
    name: 'kto',
    ...own,
    rows: (dataset) => answerKind(takenApart(dataset), rated),
    async prepare(dataset, tokenizer, o: KtoTrainingOptions, { evaluation, signal, making }) {
      const neighbours = estimated ? o.perDeviceTrainBatchSize : undefined
      const prepared = await prepareAnswers(takenApart(dataset), tokenizer, rated, {
        maxLength: o.maxLength,
        truncationMode: 'keep_start',
        neighbours,
        signal,
        making,
      })
      const uneven = evaluation ? [] : await unevenly(prepared.examples, options, signal)
      return { ...prepared, warnings: [...prepared.warnings, ...uneven.map((message) => say`${dataset.source}: ${message}`)] }
    },
    layOut(batches, cut) {
      const laid = layPasses(batches, cut, own)
      // neighbours' answers are no rows of their own
      const seenTokens = laid.examples.reduce((sum, { ids, starts }) => sum + (starts![1] ?? ids.length), 0)
      return { ...laid, normaliser: batches.length, seenTokens }
    },
    still: true,
    async run(runner, pass, inputs, laid, signal) {
      if (!runner.spec.gradients) return runner.run(pass, inputs, signal)
      const weigh = (scores: PassScores) => {
        const slopes = new Map(judge(pass, scores, laid).map(({ example, slope }) => [example, slope]))
        return entryWeights(pass, ({ sequence }) => {
          const { example, part } = pass.sequences[sequence]!
          return part === 0 ? slopes.get(example)! : 0
        })
      }
      return runner.runWeighed(pass, inputs, weigh, signal)
    },
    reference: references,
    facts: { beta, lossType: options.lossType, desirableWeight, undesirableWeight },
    loss: lossOf(judge),
    metrics: [
      {
        name: 'kl',
        label: 'kl',
        of: 'batch',
        sum: (pass, scores, laid) =>
          judge(pass, scores, laid).reduce(
            (sum, { kl, example }) => sum + (estimated ? kl / laid.batchSizes[laid.batchOf[example]!]! : 0),
            0,
          ),
      },
      {
        name: 'entropy',
        label: null,
        of: 'batch',
        sum: (pass, scores, laid) =>
          judge(pass, scores, laid).reduce(
            (sum, { sums, example }) => sum + sums.entropy / batchTargetsOf(laid, 0)[laid.batchOf[example]!]!,
            0,
          ),
      },
      logitsOf('logits/chosen', true),
      logitsOf('logits/rejected', false),
      ofSide('rewards/chosen', null, true, ({ ratio }) => beta * ratio),
      ofSide('logps/chosen', null, true, ({ sums }) => sums.logp),
      ofSide('rewards/rejected', null, false, ({ ratio }) => beta * ratio),
      ofSide('logps/rejected', null, false, ({ sums }) => sums.logp),
      margins,
    ],
  }
}

const counted = new WeakMap<LaidOut, readonly [unwanted: Float64Array, wanted: Float64Array]>()

/** answers of each micro-batch that are wanted, or not */
function answersOf(laid: LaidOut, side: boolean): Float64Array {
  let sides = counted.get(laid)
  if (!sides) {
    sides = [new Float64Array(laid.batchSizes.length), new Float64Array(laid.batchSizes.length)]
    for (const [i, { wanted }] of laid.examples.entries()) sides[Number(wanted)]![laid.batchOf[i]!]!++
    counted.set(laid, sides)
  }
  return sides[Number(side)]!
}

const sideTargets = (laid: LaidOut, side: boolean) => batchTargetsOf(laid, 0, String(side), ({ wanted }) => wanted === side)

/** How both sides would weigh alike (eq. 8 of the paper), where they don't. */
async function unevenly(
  examples: readonly Example[],
  { desirableWeight, undesirableWeight }: Options,
  signal: AbortSignal | undefined,
): Promise<Message[]> {
  let wanted = 0
  for await (const example of unhurried(examples, signal)) wanted += Number(example.wanted)
  const others = examples.length - wanted
  if (wanted === 0 || others === 0)
    return [say`all answers are ${wanted === 0 ? 'unwanted' : 'wanted'}: nothing says what the other kind is like`]
  const round = (x: number) => Math.round(x * 100) / 100
  const ofWanted = [1, 1.33].map((factor) => round(((others * undesirableWeight) / wanted) * factor))
  const ofOthers = [1.33, 1].map((factor) => round((wanted * desirableWeight) / others / factor))
  const within = (x: number, [least, most]: number[]) => x >= least! && x <= most!
  if (wanted === others || within(desirableWeight, ofWanted) || within(undesirableWeight, ofOthers)) return []
  return [
    say`${wanted} answers are wanted and ${others} are not: for both to weigh alike, ${option('desirableWeight')} would be between ${ofWanted.join(' and ')}, or ${option('undesirableWeight')} between ${ofOthers.join(' and ')}`,
  ]
}
