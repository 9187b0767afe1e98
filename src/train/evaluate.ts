/** The evaluation set scored as transformers scores it: a mean of each batch, and of the set as the metric weighs batches. */
import type { Example } from '../data/example.ts'
import { SaqrError } from '../error.ts'
import type { EvalEvent } from '../track/events.ts'
import { layOut, type StepData } from './data.ts'
import { addScores, metricsOf, noSums, type Sums } from './objectives/objective.ts'
import { camel } from './options/field.ts'
import type { Run } from './run.ts'

export async function evaluate(
  run: Run,
  { step, numTokens }: { step: number; numTokens: number },
  epoch: number,
  signal?: AbortSignal,
): Promise<EvalEvent> {
  const { evalExamples, objective, options } = run
  if (!evalExamples) throw new Error('no evaluation set')
  const started = performance.now()
  const totals = noSums(objective)
  const weights = noSums(objective)
  const batches = evalBatches(evalExamples, options)
  let rows = 0
  for (const examples of batches) {
    const batch = layOut(objective, [examples], run.evalCut)
    const sums = await score(run, batch, signal)
    rows += batch.rows
    for (const { name, batchWeight } of metricsOf(objective)) {
      const weight = batchWeight === 'rows' ? batch.rows : 1
      totals[name]! += (sums[name]! / batch.normaliser) * weight
      weights[name]! += weight
    }
  }
  const { [objective.loss.name]: evalLoss, ...means } = Object.fromEntries(
    metricsOf(objective).map(({ name }) => [name, totals[name]! / weights[name]!]),
  )
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
    evalLoss: evalLoss!,
    evalNumTokens: numTokens,
    metrics: Object.fromEntries(Object.entries(means).map(([name, mean]) => [camel(`eval_${name}`), mean])),
    evalRuntime: seconds,
    evalSamplesPerSecond: rows / seconds,
    evalStepsPerSecond: batches.length / seconds,
  }
}

async function score({ objective, evalRunner }: Run, batch: StepData, signal?: AbortSignal): Promise<Sums> {
  const sums = noSums(objective)
  for (const pass of batch.passes)
    addScores(sums, objective, pass, await objective.run(evalRunner!, pass, { seed: 0, step: 0, lossScale: 0 }, signal))
  return sums
}

/** Rows in their order; dataloader_drop_last leaves a last batch out that isn't full. @throws SaqrError DATA_TOO_FEW_ROWS */
export function evalBatches(
  examples: readonly Example[],
  { perDeviceEvalBatchSize: size, dataloaderDropLast }: Pick<Run['options'], 'perDeviceEvalBatchSize' | 'dataloaderDropLast'>,
): Example[][] {
  const batches: Example[][] = []
  for (let at = 0; at < examples.length; at += size) batches.push(examples.slice(at, at + size))
  if (dataloaderDropLast && batches.at(-1)!.length < size) batches.pop()
  if (batches.length > 0) return batches
  throw new SaqrError(
    'DATA_TOO_FEW_ROWS',
    `${examples.length} evaluation rows do not fill one batch of ${size}, and dataloaderDropLast leaves it out: give more rows or a smaller perDeviceEvalBatchSize`,
  )
}
