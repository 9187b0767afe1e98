/**
 * Log-probabilities of rows before anything is trained. The reference stays as it is, and nothing in it is random, so every row that a run comes
 * to is scored once, before its first step: the numbers are those of a reference that runs beside each step, without its weights in memory.
 */
import type { Example } from '../data/example.ts'
import { longestSequence } from '../data/long.ts'
import { PassRunner } from '../engine/runner.ts'
import { SaqrError, say } from '../error.ts'
import type { CutOptions, Objective } from './objectives/objective.ts'
import type { TrainableModel } from './options/trainer-types.ts'
import type { Run } from './run.ts'

/** examples laid out at once */
const TOGETHER = 64

/** The rows of the steps to come, and all that are evaluated. @throws SaqrError DATA_TOO_LONG */
export async function scoreReference(run: Run, reference: TrainableModel | null, doneSteps: number, signal?: AbortSignal): Promise<void> {
  const { objective, evalExamples, evalRunner, evalCut } = run
  if (!objective.reference) return
  const runner = referenceRunner(reference, evalRunner!)
  try {
    const { rows, needed } = visited(run, doneSteps)
    await scoreWith(objective, runner, rows, evalCut, signal, needed)
    await scoreWith(objective, runner, evalExamples ?? [], evalCut, signal)
  } finally {
    if (runner !== evalRunner) runner.dispose()
  }
}

/**
 * Rows in the order in which the whole run first comes to them, so that a resumed run lays them out as the run that it goes on with did, and
 * those that are left to come to.
 */
function visited({ examples, sampler, steps }: Run, doneSteps: number): { rows: Example[]; needed: Set<Example> } {
  const rows = new Set<Example>()
  const needed = new Set<Example>()
  for (let step = 0; step < steps && needed.size < examples.length; step++) {
    for (const i of sampler.batches(step).flat()) {
      rows.add(examples[i]!)
      if (step >= doneSteps) needed.add(examples[i]!)
    }
  }
  return { rows: [...rows], needed }
}

/** another model's, or that of the model which is trained, as it is now */
export function referenceRunner(reference: TrainableModel | null, own: PassRunner): PassRunner {
  if (reference === null) return own
  const { opened, adapter, trained } = reference.language
  return new PassRunner(opened.device, {
    model: opened.model,
    adapter,
    activation: opened.choice.dtype,
    layout: trained?.layout ?? { scope: '', size: 0, entries: new Map() },
    policy: own.spec.policy,
    score: own.spec.score,
    gradients: false,
  })
}

/** Scores those rows that have not been, laid out with what stands beside them. @param needed default: all */
export async function scoreWith(
  objective: Objective,
  runner: PassRunner,
  examples: readonly Example[],
  cut: CutOptions,
  signal?: AbortSignal,
  needed: ReadonlySet<Example> = new Set(examples),
): Promise<void> {
  const { reference } = objective
  if (!reference) return
  requireAlike(examples, cut)
  const { wholeBatches: _, ...free } = cut
  for (let at = 0; at < examples.length; at += TOGETHER) {
    const rows = examples.slice(at, at + TOGETHER)
    if (rows.every((example) => !needed.has(example) || reference.has(example))) continue
    const laid = objective.layOut(
      rows.map((example) => [example]),
      free,
    )
    for (const pass of laid.passes) reference.keep(pass, await runner.run(pass, { seed: 0, step: 0, lossScale: 0 }, signal), laid)
  }
}

/** With LongRoPE a row's numbers depend on the longest row of its micro-batch, which is another in every epoch. */
function requireAlike(examples: readonly Example[], { longBeyond }: CutOptions): void {
  if (longBeyond === undefined) return
  const long = examples.filter((example) => longestSequence([example]) > longBeyond)
  if (long.length > 0 && long.length < examples.length)
    throw new SaqrError(
      'DATA_TOO_LONG',
      say`${long[0]!.source}, row ${long[0]!.row}: more than ${longBeyond} tokens, beyond which this model turns positions of a whole micro-batch otherwise: a reference that is scored once is not supported for rows on both sides of it. Cut rows to ${longBeyond} tokens.`,
    )
}
