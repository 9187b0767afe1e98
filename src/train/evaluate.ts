/** The evaluation set scored as transformers scores it: a mean of each batch, and of the set as the metric weighs batches. */
import type { Example } from '../data/example.ts'
import { isLazy, lazyList } from '../data/lazy-list.ts'
import type { Pass } from '../data/passes.ts'
import { oneAhead } from '../engine/one-ahead.ts'
import { option, SaqrError, say } from '../error.ts'
import type { EvalEvent } from '../track/events.ts'
import { layOut, type StepData } from './data.ts'
import { addMeans, addScores, meanOf, measured, noMeans, noSums } from './objectives/objective.ts'
import { camel } from './options/field.ts'
import type { Run } from './run.ts'

/** What an evaluation takes of a run, or stands alone with. */
export type Evaluation = Pick<Run, 'objective' | 'options' | 'evalExamples' | 'evalRunner' | 'evalCut'>

export async function evaluate(
  run: Evaluation,
  { step, numTokens }: { step: number; numTokens: number },
  epoch: number,
  signal?: AbortSignal,
): Promise<EvalEvent> {
  const { evalExamples, objective, options } = run
  if (!evalExamples) throw new Error('no evaluation set')
  const started = performance.now()
  const means = noMeans(objective)
  const batches = evalBatches(evalExamples, options)
  let rows = 0
  let sums = noSums(objective)
  const begin = ({ batch, pass }: Piece) => objective.run(run.evalRunner!, pass, { seed: 0, step: 0, lossScale: 0 }, batch, signal)
  for await (const [{ batch, pass, last }, scores] of oneAhead(piecesOf(batches, run), begin, run.evalRunner!.queues)) {
    addScores(sums, objective, batch, pass, scores)
    if (!last) continue
    addMeans(means, objective, batch, sums, batch.rows)
    rows += batch.rows
    sums = noSums(objective)
  }
  const evalLoss = meanOf(means, objective.loss)
  if (!Number.isFinite(evalLoss)) {
    throw new SaqrError(
      'TRAIN_NAN',
      `step ${step}: the evaluation loss is no number; look at the evaluation rows, or lower the learning rate.`,
    )
  }
  const seconds = (performance.now() - started) / 1000
  return {
    type: 'eval',
    step,
    epoch,
    evalLoss,
    evalNumTokens: numTokens,
    metrics: measured(means, objective, (name) => camel(`eval_${name}`)),
    evalRuntime: seconds,
    evalSamplesPerSecond: rows / seconds,
    evalStepsPerSecond: batches.length / seconds,
  }
}

interface Piece {
  batch: StepData
  pass: Pass
  /** is it the batch's last? */
  last: boolean
}

function* piecesOf(batches: readonly (readonly Example[])[], { objective, evalCut }: Evaluation): Generator<Piece> {
  for (const examples of batches) {
    const batch = layOut(objective, [examples], evalCut)
    for (const pass of batch.passes) yield { batch, pass, last: pass === batch.passes.at(-1) }
  }
}

/** Rows in their order; dataloader_drop_last leaves a last batch out that isn't full. @throws SaqrError DATA_TOO_FEW_ROWS */
export function evalBatches(
  examples: readonly Example[],
  { perDeviceEvalBatchSize: size, dataloaderDropLast }: Pick<Run['options'], 'perDeviceEvalBatchSize' | 'dataloaderDropLast'>,
): readonly (readonly Example[])[] {
  const count = examples.length / size
  const batches = lazyList(dataloaderDropLast ? Math.floor(count) : Math.ceil(count), (i) => examples.slice(i * size, (i + 1) * size))
  if (batches.length > 0) return isLazy(examples) ? batches : [...batches]
  throw new SaqrError(
    'DATA_TOO_FEW_ROWS',
    say`${examples.length} evaluation rows do not fill one batch of ${size}, and ${option('dataloaderDropLast')} leaves it out: give more rows or a smaller ${option('perDeviceEvalBatchSize')}`,
  )
}
