/** Micro-batches as passes, cut where an objective lets them be cut. */
import type { Example } from '../../data/example.ts'
import { longExamples } from '../../data/long.ts'
import { planPasses, type Whole } from '../../data/passes.ts'
import { option, say } from '../../error.ts'
import type { CutOptions, LaidOut, Objective, Together } from './objective.ts'

/** @throws SaqrError DATA_ROW_TOO_LONG for what fits no pass */
export function layPasses(
  batches: readonly (readonly Example[])[],
  cut: CutOptions,
  { together, score }: Pick<Objective, 'together' | 'score'>,
): Omit<LaidOut, 'normaliser'> {
  const examples = batches.flat()
  const batchOf = Int32Array.from(batches.flatMap((batch, i) => batch.map(() => i)))
  const whole = wholeOf(cut, together, examples, batchOf)
  const passes = planPasses(examples, { ...cut, long: longExamples(batches, cut.longBeyond), whole, entryAlone: score.later })
  const batchTargets = new Float64Array(batches.length)
  for (const { entrySequence, sequences } of passes) for (const s of entrySequence) batchTargets[batchOf[sequences[s]!.example]!]!++
  return { passes, examples, batchOf, batchSizes: Float64Array.from(batches, ({ length }) => length), batchTargets }
}

function wholeOf(cut: CutOptions, together: Together, examples: readonly Example[], batchOf: Int32Array): Whole | undefined {
  if (cut.wholeBatches !== undefined)
    return {
      of: batchOf,
      most: cut.wholeBatches,
      apart: true,
      what: 'a micro-batch',
      remedy: say`, and this model's balance loss is of a micro-batch as a whole. Lower ${option('perDeviceTrainBatchSize')}, allow larger passes (${option('maxPassTokens')}), or leave the loss out (${option('routerAuxLossCoef')} 0; where a trainer has no such option, output_router_logits false in config.json).`,
    }
  if (together === 'sequence') return undefined
  if (together === 'batch')
    return {
      of: batchOf,
      what: 'a micro-batch',
      remedy: say`, and this loss is of a micro-batch as a whole. Lower ${option('perDeviceTrainBatchSize')}, or allow larger passes (${option('maxPassTokens')}).`,
    }
  return {
    of: Int32Array.from(examples, (_, i) => i),
    what: 'an example',
    remedy: say`, and its loss is of them together. Set ${option('maxLength')} to less, or allow larger passes (${option('maxPassTokens')}).`,
  }
}
