/** An evaluation of its own, outside of a run. */
import type { Example } from '../data/example.ts'
import { type MemoryLimit, movePlaces, planBudget, storeBytes } from '../engine/budget.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { PassRunner } from '../engine/runner.ts'
import { option, SaqrError, say } from '../error.ts'
import type { ParameterLayout } from '../graph/layout.ts'
import { checkPositions, checkVocabulary } from './check-rows.ts'
import { bounds } from './data.ts'
import { evalBatches, evaluate } from './evaluate.ts'
import type { CutOptions, Objective } from './objectives/objective.ts'
import { coefficientOf, wholeBatches, withTerm } from './objectives/term.ts'
import type { TrainingOptions } from './options/config.ts'
import type { CheckedInit } from './options/trainer-types.ts'
import { turnToRead } from './turn.ts'

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
  const endReading = await turnToRead(language, signal)
  try {
    const { runner, evalCut, objective: own } = prepareEvaluation(objective, language, examples, o, memory)
    try {
      const run = { objective: own, options: o, evalExamples: examples, evalRunner: runner, evalCut }
      const { evalLoss, metrics, evalRuntime, evalSamplesPerSecond, evalStepsPerSecond } = await evaluate(
        run,
        { step: 0, numTokens: 0 },
        0,
        signal,
      )
      return { evalLoss, ...metrics, evalRuntime, evalSamplesPerSecond, evalStepsPerSecond }
    } finally {
      runner.dispose()
    }
  } finally {
    endReading()
  }
}

/** nothing is trained, or what is has its place already */
const NOTHING: ParameterLayout = { scope: '', size: 0, entries: new Map(), ranges: [] }

/** Passes without gradients, of a model that need not train anything. @throws SaqrError MEMORY_BUDGET, DATA_TOO_FEW_ROWS */
function prepareEvaluation(
  objective: Objective,
  model: LanguageModel,
  examples: readonly Example[],
  o: TrainingOptions,
  memory: MemoryLimit | null,
): { runner: PassRunner; evalCut: CutOptions; objective: Objective } {
  evalBatches(examples, o)
  const term = coefficientOf(model.opened.model, o)
  const { device, choice } = model.opened
  const layout = model.trained?.layout ?? NOTHING
  const spec = {
    model: model.opened.model,
    adapter: model.adapter,
    activation: choice.dtype,
    layout,
    score: objective.score,
    gradients: false,
  }
  const whole = wholeBatches(term, 1)
  const { longest, stepTokens } = bounds(examples, o.perDeviceEvalBatchSize)
  const budget = planBudget(device, {
    spec,
    memory,
    store: storeBytes(model.recorder, layout, null, model.opened.nested),
    longest: whole ? stepTokens : longest,
    stepTokens,
    maxPassTokens: o.maxPassTokens,
    lean: { base: choice.loadIn4bit, optimizer: true },
  })
  const { maxPassTokens, policy, full, places } = budget
  // what a run has in the host's memory stays there: the run may go on
  movePlaces(device, { places: new Map([...places].filter(([, to]) => to === 'host')) })
  device.reserve(full.arena, full.host)
  return {
    runner: new PassRunner(device, { ...spec, policy }),
    evalCut: {
      maxPassTokens,
      prefixSharing: o.prefixSharing,
      quantum: device.describe().tokenQuantum,
      longBeyond: model.opened.model.longBeyond,
      wholeBatches: whole,
    },
    objective: withTerm(objective, model.opened.model, term),
  }
}
