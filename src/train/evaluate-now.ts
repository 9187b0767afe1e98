/** An evaluation of its own, outside of a run. */
import { prepare } from '../data/prepare.ts'
import { option, SaqrError, say } from '../error.ts'
import { evaluate } from './evaluate.ts'
import type { EvalEvent } from './events.ts'
import type { TrainingOptions } from './options/config.ts'
import type { CheckedInit } from './options/trainer-types.ts'
import { prepareRun } from './run.ts'

/** TRL's metrics of an evaluation in camelCase */
export type EvalMetrics = Omit<EvalEvent, 'type' | 'step' | 'epoch' | 'evalNumTokens'>

/** @throws SaqrError OPTION_INVALID without rows to evaluate on, and those of preparing rows and a run */
export async function evaluateNow(init: CheckedInit, o: TrainingOptions, signal: AbortSignal | undefined): Promise<EvalMetrics> {
  const { model, processingClass, evalDataset, formattingFunc, memory } = init
  if (!evalDataset) throw new SaqrError('OPTION_INVALID', say`there is nothing to evaluate on: give ${option('evalDataset')}`)
  const { datasetTextField, maxLength, truncationMode, completionOnlyLoss, assistantOnlyLoss, packingStrategy } = o
  const rows = { datasetTextField, maxLength, truncationMode, completionOnlyLoss, assistantOnlyLoss, packingStrategy }
  const packing = o.evalPacking ?? o.packing
  const { examples } = await prepare(evalDataset, processingClass, { ...rows, packing, formattingFunc, signal })
  const options = { ...o, dataloaderDropLast: false }
  const run = prepareRun({ model: model.language, examples, evalExamples: examples, options, memory, maxPassTokens: null })
  try {
    const { type: _, step: __, epoch: ___, evalNumTokens: ____, ...metrics } = await evaluate(run, { step: 0, numTokens: 0 }, 0, signal)
    return metrics
  } finally {
    run.dispose()
  }
}
