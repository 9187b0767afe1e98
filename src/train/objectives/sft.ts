/** Supervised fine-tuning: −log p of every target, averaged over the targets of the accumulated batch, as TRL's SFTTrainer has it. */
import type { Example } from '../../data/example.ts'
import type { Pass } from '../../data/passes.ts'
import { prepare } from '../../data/prepare.ts'
import { textKind } from '../../data/row-kind.ts'
import { SCORES, targetLogProbs, targetLogProbsWithGradient } from '../../ops/target-log-probs/op.ts'
import type { TrainingOptions } from '../options/config.ts'
import { responseParts } from '../options/rules.ts'
import { layPasses } from './lay-out.ts'
import type { CutOptions, LaidOut, Metric, Objective } from './objective.ts'

/** weights are known ahead, so the gradient comes in the sweep that scores */
export const sft: Objective = {
  name: 'sft',
  rows: textKind,
  prepare: (dataset, tokenizer, o: TrainingOptions, { evaluation, formattingFunc, signal, making }) =>
    prepare(dataset, tokenizer, {
      datasetTextField: o.datasetTextField,
      maxLength: o.maxLength,
      truncationMode: o.truncationMode,
      completionOnlyLoss: o.completionOnlyLoss,
      assistantOnlyLoss: o.assistantOnlyLoss,
      responses: responseParts(o),
      packing: evaluation ? (o.evalPacking ?? o.packing) : o.packing,
      packingStrategy: o.packingStrategy,
      formattingFunc,
      signal,
      making,
    }),
  layOut: (batches, cut) => layOutTargets(batches, cut, sft),
  together: 'sequence',
  score: {
    width: SCORES,
    apply(b, logits, gradients) {
      const scores = b.input('scores')
      if (gradients) return targetLogProbsWithGradient(b, logits, scores)
      targetLogProbs(b, logits, scores)
      return null
    },
  },
  run: (runner, pass, inputs, _, signal) => runner.run(pass, inputs, signal),
  loss: { name: 'loss', label: 'loss', of: 'step', sum: (pass, { entries }) => -weighted(entries, 0, (e) => pass.entryWeight[e]!) },
  metrics: [
    metric('entropy', null, 1), // of the model's distribution at a target, nats
    metric('mean_token_accuracy', 'accuracy', 2), // share of targets that the model finds likeliest
  ],
}

/** divided by the targets of the accumulated batch */
export function layOutTargets(
  batches: readonly (readonly Example[])[],
  cut: CutOptions,
  whose: Pick<Objective, 'together' | 'score'>,
): LaidOut {
  const laid = layPasses(batches, cut, whose)
  return {
    ...laid,
    normaliser: Math.max(
      1,
      laid.batchTargets.reduce((sum, targets) => sum + targets, 0),
    ),
  }
}

/** TRL takes the mean over micro-batches, whatever their size, of the mean over the targets of each; of one without targets it is 0 */
function metric(name: string, label: string | null, which: number): Metric {
  const sum: Metric['sum'] = (pass, { entries }, laid) => weighted(entries, which, (e) => shareOf(pass, e, laid))
  return { name, label, of: 'batch', sum }
}

/** Σ over the entries of weight · number `which` of its scores */
function weighted(scores: Float32Array, which: number, weight: (entry: number) => number): number {
  let sum = 0
  for (let e = 0, i = which; i < scores.length; e++, i += SCORES) sum += weight(e) * scores[i]!
  return sum
}

/** Σ over the rows that an entry is a target of: its share in the targets of the row's micro-batch */
function shareOf({ entrySequenceStart, entrySequence, sequences }: Pass, entry: number, { batchOf, batchTargets }: LaidOut): number {
  let share = 0
  for (let i = entrySequenceStart[entry]!; i < entrySequenceStart[entry + 1]!; i++) {
    share += 1 / batchTargets[batchOf[sequences[entrySequence[i]!]!.example]!]!
  }
  return share
}
