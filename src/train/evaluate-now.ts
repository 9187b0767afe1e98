/** An evaluation of its own, outside of a run. */
import { option, SaqrError, say } from '../error.ts'
import { checkPositions, checkVocabulary } from './check-rows.ts'
import { evaluate } from './evaluate.ts'
import type { Objective } from './objectives/objective.ts'
import type { TrainingOptions } from './options/config.ts'
import type { CheckedInit } from './options/trainer-types.ts'
import { prepareRun } from './run.ts'
import { turnOn } from './turn.ts'

/** TRL's metrics of an evaluation in camelCase: beside these evalEntropy and what else the objective measures */
export interface EvalMetrics {
  evalLoss: number
  evalRuntime: number
  evalSamplesPerSecond: number
  evalStepsPerSecond: number
  [metric: string]: number
}

/** @throws SaqrError OPTION_INVALID without rows to evaluate on, and those of preparing rows and a run */
export async function evaluateNow(
  objective: Objective,
  init: CheckedInit,
  o: TrainingOptions,
  signal: AbortSignal | undefined,
): Promise<EvalMetrics> {
  const { model, processingClass, evalDataset, formattingFunc, memory } = init
  if (!evalDataset) throw new SaqrError('OPTION_INVALID', say`there is nothing to evaluate on: give ${option('evalDataset')}`)
  const { language } = model
  const { examples } = await objective.prepare(evalDataset, processingClass, o, { evaluation: true, formattingFunc, signal })
  checkPositions(examples, language.opened.model)
  checkVocabulary(examples, language.opened.model)
  const endTurn = await turnOn(language, signal)
  try {
    // these rows are trained on by nobody: how a training would cut them has no say
    const options = { ...o, dataloaderDropLast: false }
    const run = prepareRun({ objective, model: language, examples, evalExamples: examples, options, memory, goesOn: null })
    try {
      const { evalLoss, metrics, evalRuntime, evalSamplesPerSecond, evalStepsPerSecond } = await evaluate(
        { ...run, options: o },
        { step: 0, numTokens: 0 },
        0,
        signal,
      )
      return { evalLoss, ...metrics, evalRuntime, evalSamplesPerSecond, evalStepsPerSecond }
    } finally {
      run.dispose()
    }
  } finally {
    endTurn()
  }
}
