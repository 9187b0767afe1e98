/** An evaluation of its own, outside of a run. */
import { unhurried } from '../data/breathe.ts'
import type { Example } from '../data/example.ts'
import type { Prepared } from '../data/prepare.ts'
import { bytesBeside } from '../engine/beside.ts'
import { type Budget, type BudgetRequest, type MemoryLimit, movePlaces, storeBytes } from '../engine/budget.ts'
import { grantedBudget } from '../engine/granted.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { PassRunner } from '../engine/runner.ts'
import { NOTHING } from '../graph/layout.ts'
import { checkExample } from './check-rows.ts'
import { evalBatches, evaluate } from './evaluate.ts'
import type { CutOptions, Objective } from './objectives/objective.ts'
import { coefficientOf, wholeBatches, withTerm } from './objectives/term.ts'
import type { CommonOptions } from './options/common-config.ts'
import type { CheckedInit, TrainableModel } from './options/trainer-types.ts'
import { alone, besideOf, referenceRunner, requireAlike, scoreWith } from './reference.ts'
import { Sizes } from './sizes.ts'
import { turnToRead } from './turn.ts'

/** TRL's metrics of an evaluation in camelCase: beside these evalEntropy and what else the objective measures */
export interface EvalMetrics {
  /** mean loss of the evaluation rows */
  evalLoss: number
  /** seconds it took */
  evalRuntime: number
  /** rows a second */
  evalSamplesPerSecond: number
  /** batches a second */
  evalStepsPerSecond: number
  [metric: string]: number
}

/** @throws SaqrError those of a run */
export async function evaluateNow(
  objective: Objective,
  { model, memory, refModel }: CheckedInit,
  { examples }: Pick<Prepared, 'examples'>,
  o: CommonOptions,
  signal: AbortSignal | undefined,
): Promise<EvalMetrics> {
  const { language } = model
  const sizes = new Sizes()
  for await (const example of unhurried(examples, signal)) {
    checkExample(example, language.opened.model)
    sizes.add(example)
  }
  const endReading = await turnToRead(language, signal)
  try {
    const { runner, evalCut, objective: own } = prepareEvaluation(objective, language, { examples, sizes }, o, memory, refModel)
    try {
      const run = { objective: own, options: o, evalExamples: examples, evalRunner: runner, evalCut }
      await requireAlike(own.reference ? [examples] : [], evalCut, signal)
      const reference = referenceRunner(refModel, runner)
      try {
        await scoreWith(own, reference, { rows: examples, batches: alone(examples, o), cut: evalCut, signal })
      } finally {
        if (reference !== runner) reference.dispose()
      }
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

/** Passes without gradients, of a model that need not train anything. @throws SaqrError MEMORY_BUDGET, DATA_TOO_FEW_ROWS */
function prepareEvaluation(
  objective: Objective,
  model: LanguageModel,
  { examples, sizes }: { examples: readonly Example[]; sizes: Sizes },
  o: CommonOptions,
  memory: MemoryLimit | null,
  reference: TrainableModel | null,
): { runner: PassRunner; evalCut: CutOptions; objective: Objective } {
  evalBatches(examples, o)
  const term = coefficientOf(model.opened.model, o, objective)
  const { device, choice } = model.opened
  const layout = model.trained?.layout ?? NOTHING // nothing is trained, or what is has its place already
  const spec = {
    model: model.opened.model,
    adapter: model.adapter,
    activation: choice.dtype,
    layout,
    score: objective.score,
    gradients: false,
  }
  const whole = wholeBatches(term, 1)
  const { longest, stepTokens } = sizes.bounds(o.perDeviceEvalBatchSize, whole ? 'batch' : objective.together, o.prefixSharing)
  const separate = besideOf(reference, model, objective.score)
  // what a run has in the host's memory stays there: the run may go on
  const move = ({ places }: Budget) => movePlaces(device, { places: new Map([...places].filter(([, to]) => to === 'host')) })
  const request: BudgetRequest = {
    spec,
    memory,
    store: storeBytes(model.recorder, layout, null, model.opened.nested) + bytesBeside(model),
    beside: separate ? (tokens) => separate.weights + separate.passes(tokens) : undefined,
    longest,
    stepTokens,
    maxPassTokens: o.maxPassTokens,
    lean: { base: choice.loadIn4bit, optimizer: true },
  }
  const { maxPassTokens, take } = grantedBudget(device, request, move)
  return {
    runner: new PassRunner(device, spec, take),
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
