/**
 * Dynamic fine-tuning (Wu et al. 2025, arXiv 2508.05629) as TRL's SFTTrainer has it: −p · log p of every target, where p, the probability that the
 * model gives it, is a number and no function, averaged over the targets of the accumulated batch. What the model finds unlikely weighs little.
 */
import type { Pass } from '../../data/passes.ts'
import type { PassScores } from '../../engine/runner.ts'
import { SCORES } from '../../ops/target-log-probs/op.ts'
import type { TrainingOptions } from '../options/config.ts'
import type { Objective } from './objective.ts'
import { layOutTargets, sft } from './sft.ts'

/** the weight of each entry, −d loss / d log p: the rows that it is a target of, each times p */
function weights({ entryWeight }: Pass, { entries }: PassScores): Float32Array {
  return entryWeight.map((rows, e) => (rows === 0 ? 0 : rows * Math.exp(entries[SCORES * e]!)))
}

const score = { ...sft.score, later: true }

export const dft: Objective = {
  ...sft,
  name: 'dft',
  score,
  layOut: (batches, cut) => layOutTargets(batches, cut, { together: 'sequence', score }),
  run: (runner, pass, inputs, _, signal) =>
    runner.spec.gradients ? runner.runWeighed(pass, inputs, (scores) => weights(pass, scores), signal) : runner.run(pass, inputs, signal),
  loss: {
    ...sft.loss,
    sum: (pass, scores) =>
      -weights(pass, scores).reduce((sum, weight, e) => (weight === 0 ? sum : sum + weight * scores.entries[SCORES * e]!), 0),
  },
}

/** by `loss_type` */
export const sftObjective = ({ lossType }: Pick<TrainingOptions, 'lossType'>): Objective => (lossType === 'dft' ? dft : sft)
