/** Supervised fine-tuning: −log p of every target, averaged over the targets of the accumulated batch, as TRL's SFTTrainer has it. */
import { type Pass, planPasses } from '../../data/passes.ts'
import { prepare } from '../../data/prepare.ts'
import { SCORES, targetLogProbs, targetLogProbsWithGradient } from '../../ops/target-log-probs/op.ts'
import type { Metric, Objective } from './objective.ts'

/** weights are known ahead, so the gradient comes in the sweep that scores */
export const sft: Objective = {
  name: 'sft',
  prepare: (dataset, tokenizer, o, { evaluation, formattingFunc, signal }) =>
    prepare(dataset, tokenizer, {
      datasetTextField: o.datasetTextField,
      maxLength: o.maxLength,
      truncationMode: o.truncationMode,
      completionOnlyLoss: o.completionOnlyLoss,
      assistantOnlyLoss: o.assistantOnlyLoss,
      packing: evaluation ? (o.evalPacking ?? o.packing) : o.packing,
      packingStrategy: o.packingStrategy,
      formattingFunc,
      signal,
    }),
  layOut(batches, cut) {
    const passes = planPasses(batches.flat(), cut)
    return { passes, normaliser: Math.max(1, targetsOf(passes)) }
  },
  score: {
    width: SCORES,
    apply(b, logits, gradients) {
      const scores = b.input('scores')
      if (gradients) return targetLogProbsWithGradient(b, logits, scores)
      targetLogProbs(b, logits, scores)
      return null
    },
  },
  run: (runner, pass, inputs, signal) => runner.run(pass, inputs, signal),
  loss: { name: 'loss', label: 'loss', sum: (pass, scores) => -weighted(pass, scores, 0), batchWeight: 'rows' },
  metrics: [
    metric('entropy', null, 1), // of the model's distribution at a target, nats
    metric('mean_token_accuracy', 'accuracy', 2), // share of targets that the model finds likeliest
  ],
}

/** TRL takes their means over batches, whatever their size */
function metric(name: string, label: string | null, which: number): Metric {
  return { name, label, sum: (pass, scores) => weighted(pass, scores, which), batchWeight: 'one' }
}

/** Σ weight · number `which` of the entry's scores */
function weighted(pass: Pass, scores: Float32Array, which: number): number {
  let sum = 0
  for (let e = 0, i = which; i < scores.length; e++, i += SCORES) sum += pass.entryWeight[e]! * scores[i]!
  return sum
}

function targetsOf(passes: readonly Pass[]): number {
  return passes.reduce((sum, { targets }) => sum + targets, 0)
}
