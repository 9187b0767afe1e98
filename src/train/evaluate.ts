/** The evaluation set scored as transformers scores it: a mean of each batch, batches weighted by their rows. */

import { passLoss, passMetrics } from '../engine/runner.ts'
import { SaqrError } from '../error.ts'
import { cutRows } from './data.ts'
import type { EvalEvent } from './events.ts'
import type { Run } from './run.ts'

export async function evaluate(
  run: Run,
  { step, numTokens }: { step: number; numTokens: number },
  epoch: number,
  signal?: AbortSignal,
): Promise<EvalEvent> {
  const { evalExamples, evalRunner, options } = run
  if (!evalExamples || !evalRunner) throw new Error('no evaluation set')
  const started = performance.now()
  const size = options.perDeviceEvalBatchSize
  let total = 0
  let batches = 0
  // TRL's means are of batches, whatever their size
  const means = { entropy: 0, accuracy: 0 }
  for (let at = 0; at < evalExamples.length; at += size) {
    const batch = cutRows(evalExamples.slice(at, at + size), run.evalCut)
    const targets = Math.max(1, batch.targets)
    let sum = 0
    for (const pass of batch.passes) {
      const scores = await evalRunner.run(pass, { seed: 0, step: 0, lossScale: 0 }, signal)
      const { entropy, correct } = passMetrics(pass, scores)
      sum += passLoss(pass, scores)
      means.entropy += entropy / targets
      means.accuracy += correct / targets
    }
    total += (sum / targets) * batch.rows
    batches++
  }
  if (!Number.isFinite(total)) {
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
    evalLoss: total / evalExamples.length,
    evalEntropy: means.entropy / batches,
    evalNumTokens: numTokens,
    evalMeanTokenAccuracy: means.accuracy / batches,
    evalRuntime: seconds,
    evalSamplesPerSecond: evalExamples.length / seconds,
    evalStepsPerSecond: batches / seconds,
  }
}
