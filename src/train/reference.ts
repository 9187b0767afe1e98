/**
 * Log-probabilities of rows before anything is trained. The reference stays as it is, and nothing in it is random, so every row that a run comes
 * to is scored once, before its first step: the numbers are those of a reference that runs beside each step, without its weights in memory.
 */
import type { Example } from '../data/example.ts'
import { longestSequence } from '../data/long.ts'
import { storeBytes } from '../engine/budget.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { PassRunner, type RunnerSpec } from '../engine/runner.ts'
import { SaqrError, say } from '../error.ts'
import { policyAt } from '../graph/fit.ts'
import type { HeadScore } from '../graph/head.ts'
import { NOTHING } from '../graph/layout.ts'
import { evalBatches } from './evaluate.ts'
import type { CutOptions, Objective } from './objectives/objective.ts'
import type { TrainableModel } from './options/trainer-types.ts'
import type { Run } from './run.ts'

/** The rows of the steps to come, and all that are evaluated. Returns how many were scored. @throws SaqrError DATA_TOO_LONG */
export async function scoreReference(run: Run, doneSteps: number, signal?: AbortSignal): Promise<number> {
  const { objective, examples, evalExamples, evalRunner, cut, evalCut } = run
  const runner = referenceRunner(run.refModel, evalRunner!)
  try {
    requireAlike([examples, evalExamples ?? []], cut)
    const trained = await scoreWith(objective, runner, firstSteps(run, doneSteps), cut, signal)
    return trained + (await scoreWith(objective, runner, evalExamples ? alone(evalExamples, run.options) : [], evalCut, signal))
  } finally {
    if (runner !== evalRunner) runner.dispose()
  }
}

/**
 * The micro-batches of each step at which the whole run first comes to a row that is left to come to. A row is scored as that step lays it out:
 * what has not been trained yet is then exactly as likely as under the reference, and a resumed run has the numbers of the one that it goes on with.
 */
function* firstSteps({ examples, sampler, steps }: Run, doneSteps: number): Generator<Example[][]> {
  const first = new Map<number, number>()
  const left = new Set<number>()
  const coming = new Set<number>()
  // until all have come since: an epoch may leave some out, and one that a run stopped in has some behind it
  for (let step = 0; step < steps && coming.size < examples.length; step++) {
    for (const i of sampler.batches(step).flat()) {
      if (!first.has(i)) first.set(i, step)
      if (step < doneSteps) continue
      coming.add(i)
      left.add(first.get(i)!)
    }
  }
  for (const step of [...left].sort((a, b) => a - b)) yield sampler.batches(step).map((batch) => batch.map((i) => examples[i]!))
}

/** each evaluation batch by itself, as it is evaluated */
export function* alone(...given: Parameters<typeof evalBatches>): Generator<(readonly Example[])[]> {
  for (const batch of evalBatches(...given)) yield [batch]
}

/** another model's, or that of the model which is trained, as it is now */
export function referenceRunner(reference: TrainableModel | null, own: PassRunner): PassRunner {
  return reference === null ? own : runnerOf(reference, own.spec)
}

function runnerOf(
  { language: { opened, adapter, trained } }: TrainableModel,
  { score, policy }: Pick<RunnerSpec, 'score' | 'policy'>,
): PassRunner {
  const layout = trained?.layout ?? NOTHING
  return new PassRunner(opened.device, {
    model: opened.model,
    adapter,
    activation: opened.choice.dtype,
    layout,
    policy,
    score,
    gradients: false,
  })
}

/** What a reference on another base takes beside the model that is trained: its weights, and its passes of so many tokens; bytes. */
export interface Beside {
  weights: number
  passes(tokens: number): number
}

/** null: there is none, it stands on the same base, or it lies in another device's memory */
export function besideOf(reference: TrainableModel | null, model: LanguageModel, score: HeadScore): Beside | null {
  if (reference === null || reference.language.opened === model.opened) return null
  const { recorder, trained, opened } = reference.language
  if (opened.device.describe().kind !== model.opened.device.describe().kind) return null
  const runner = runnerOf(reference, { score, policy: () => policyAt(0, opened.model.layers) })
  return {
    weights: storeBytes(recorder, trained?.layout ?? NOTHING, null, opened.nested),
    passes: (tokens) => runner.lower(tokens).arena,
  }
}

/** Scores the rows of these steps, or batches, that have not been, each as it lies where it comes first. */
export async function scoreWith(
  objective: Objective,
  runner: PassRunner,
  steps: Iterable<readonly (readonly Example[])[]>,
  cut: CutOptions,
  signal?: AbortSignal,
): Promise<number> {
  const { reference } = objective
  if (!reference) return 0
  const { wholeBatches: _, ...free } = cut
  let scored = 0
  for (const batches of steps) {
    const rows = batches.flat().filter((example) => !reference.has(example))
    if (rows.length === 0) continue
    const laid = objective.layOut(batches, free)
    for (const pass of laid.passes) reference.keep(pass, await runner.run(pass, { seed: 0, step: 0, lossScale: 0 }, signal), laid)
    scored += rows.length
  }
  return scored
}

/** With LongRoPE a row's numbers depend on the longest row of its micro-batch, which is another in every epoch. */
export function requireAlike(lists: readonly (readonly Example[])[], { longBeyond }: CutOptions): void {
  if (longBeyond === undefined) return
  const long = lists.flatMap((examples) => examples.filter((example) => longestSequence([example]) > longBeyond))
  const all = lists.reduce((n, { length }) => n + length, 0)
  if (long.length > 0 && long.length < all)
    throw new SaqrError(
      'DATA_TOO_LONG',
      say`${long[0]!.source}, row ${long[0]!.row}: more than ${longBeyond} tokens, beyond which this model turns positions of a whole micro-batch otherwise: a reference that is scored once is not supported for rows on both sides of it. Cut rows to ${longBeyond} tokens.`,
    )
}
