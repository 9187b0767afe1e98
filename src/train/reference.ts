/**
 * Log-probabilities of rows before anything is trained. The reference stays as it is, and nothing in it is random, so every row that a run comes
 * to is scored once, before its first step: the numbers are those of a reference that runs beside each step, without its weights in memory.
 */
import { breathe, someOf, unhurried } from '../data/breathe.ts'
import type { Example } from '../data/example.ts'
import { longestSequence } from '../data/long.ts'
import type { Making } from '../data/prepare.ts'
import type { Pass } from '../data/trie.ts'
import type { DeviceDescription } from '../devices/device.ts'
import { storeBytes } from '../engine/budget.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { oneAhead } from '../engine/one-ahead.ts'
import { PassRunner, type RunnerSpec } from '../engine/runner.ts'
import { SaqrError, say } from '../error.ts'
import type { HeadScore } from '../graph/head.ts'
import { NOTHING } from '../graph/layout.ts'
import { madeAhead } from './ahead.ts'
import { evalBatches } from './evaluate.ts'
import type { CutOptions, Objective } from './objectives/objective.ts'
import type { TrainableModel } from './options/trainer-types.ts'
import type { List, ReferenceScores } from './reference-scores.ts'
import type { Run } from './run.ts'

export interface Scoring {
  /** stops it between two ops */
  signal?: AbortSignal | undefined
  onProgress?: Making['onProgress']
}

/** A step's micro-batches, or an evaluation's: places of their rows. */
type Batches = readonly (readonly number[])[]

/**
 * The rows of the steps to come, and all that are evaluated. What was scored is kept, whatever ends it.
 * @param steps those done, and those that the run comes to
 * @returns how many were scored
 * @throws SaqrError DATA_TOO_LONG; the signal's reason
 */
export async function scoreReference(
  run: Run,
  steps: { done: number; until: number },
  kept: ReferenceScores,
  { signal, onProgress }: Scoring = {},
): Promise<number> {
  const { objective, examples, evalExamples, evalRunner, cut, evalCut, options } = run
  const { path } = run.model.opened.checkpoint
  const first = await firstSteps(run, steps, signal)
  const lists: { name: List; rows: readonly Example[]; batches: Iterable<Batches>; cut: CutOptions }[] = [
    { name: 'trained', rows: examples, batches: first.batches(), cut },
    ...(evalExamples ? [{ name: 'evaluated' as const, rows: evalExamples, batches: alone(evalExamples, options), cut: evalCut }] : []),
  ]
  const total = first.rows + (evalExamples?.length ?? 0)
  const runner = referenceRunner(run.refModel, evalRunner!)
  let [before, scored] = [0, 0]
  try {
    await requireAlike([examples, evalExamples ?? []], cut, signal)
    for (const { name, rows, batches, cut } of lists) {
      let done = 0
      await scoreWith(objective, runner, { rows, batches, cut, signal }, (made, seen) => {
        for (const i of made) kept.add(name, i, objective.reference!.get(rows[i]!))
        scored += made.length
        done = seen
        onProgress?.({ doing: 'scoring by the reference:', source: path, done: before + seen, total })
      })
      before += done
    }
    return scored
  } finally {
    kept.write()
    onProgress?.({ source: path, done: total, total }) // whatever ended it, the line goes
    if (runner !== evalRunner) runner.dispose()
  }
}

/** Is there a row that the run comes to and the reference hasn't scored? */
export async function lacksScores({ objective, examples, evalExamples, options }: Run, signal: AbortSignal | undefined): Promise<boolean> {
  const lacks = (example: Example) => !objective.reference!.has(example)
  if (await someOf(examples, lacks, signal)) return true
  return evalExamples !== null && someOf(evalBatches(evalExamples, options), (batch) => batch.some(lacks), signal)
}

/**
 * The micro-batches of each step at which the whole run first comes to a row that is left to come to, and how many rows they have, each counted
 * once. A row is scored as that step lays it out: what has not been trained yet is then exactly as likely as under the reference, and a resumed run
 * has the numbers of the one that it goes on with.
 * @throws the signal's reason
 */
export async function firstSteps(
  { examples, sampler }: Pick<Run, 'sampler'> & { examples: { readonly length: number } },
  { done, until }: { done: number; until: number },
  signal: AbortSignal | undefined,
): Promise<{ batches: () => Iterable<Batches>; rows: number }> {
  // a set or a map ends at 2^24 of them
  const first = new Int32Array(examples.length).fill(-1)
  const coming = new Uint8Array(examples.length)
  const before = new Uint8Array(done)
  const from: number[] = []
  let [left, breath] = [examples.length, performance.now()]
  // until all have come since: an epoch may leave some out, and one that a run stopped in has some behind it
  for (let step = 0; step < until && left > 0; step++) {
    for (const batch of sampler.batches(step)) {
      for (const i of batch) {
        if (first[i]! < 0) first[i] = step
        if (step < done || coming[i]) continue
        coming[i] = 1
        left--
        if (first[i]! < done) before[first[i]!] = 1
        else if (from.at(-1) !== step) from.push(step)
      }
    }
    breath = await breathe(breath, signal)
  }
  function* batches(): Generator<Batches> {
    for (let step = 0; step < done; step++) if (before[step]) yield sampler.batches(step)
    for (const step of from) yield sampler.batches(step)
  }
  const counted = new Uint8Array(examples.length)
  let rows = 0
  for await (const step of unhurried(batches(), signal))
    for (const batch of step) for (const i of batch) if (!counted[i]) rows += counted[i] = 1
  return { batches, rows }
}

/** each evaluation batch by itself, as it is evaluated */
export function* alone(...given: Parameters<typeof evalBatches>): Generator<Batches> {
  const [{ length: rows }, { perDeviceEvalBatchSize: size }] = given
  const { length } = evalBatches(...given)
  for (let batch = 0; batch < length; batch++)
    yield [Array.from({ length: Math.min(size, rows - batch * size) }, (_, i) => batch * size + i)]
}

/** another model's, or that of the model which is trained, as it is now */
export function referenceRunner(reference: TrainableModel | null, own: PassRunner): PassRunner {
  return reference === null ? own : runnerOf(reference, own.spec)
}

function runnerOf({ language: { opened, adapter, trained } }: TrainableModel, { score }: Pick<RunnerSpec, 'score'>): PassRunner {
  const layout = trained?.layout ?? NOTHING
  return new PassRunner(opened.device, {
    model: opened.model,
    adapter,
    activation: opened.choice.dtype,
    layout,
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
  if (!sameMemory(opened.device.describe(), model.opened.device.describe())) return null
  const runner = runnerOf(reference, { score })
  const arenas = new Map<number, number>()
  return {
    weights: storeBytes(recorder, trained?.layout ?? NOTHING, null, opened.nested),
    // a search for what fits asks again and again
    passes: (tokens) => arenas.get(tokens) ?? arenas.set(tokens, runner.lower(tokens).arena).get(tokens)!,
  }
}

/** One card's memory, or the machine's. */
const sameMemory = (a: DeviceDescription, b: DeviceDescription): boolean => a.kind === b.kind && a.place === b.place

/**
 * Scores the rows of these steps, or batches, that have not been, each as it lies where it comes first.
 * @param onScored hears after each step which rows were scored in it, and how many rows have come so far
 */
export async function scoreWith(
  objective: Objective,
  runner: PassRunner,
  {
    rows,
    batches,
    cut,
    signal,
  }: { rows: readonly Example[]; batches: Iterable<Batches>; cut: CutOptions; signal: AbortSignal | undefined },
  onScored: (made: readonly number[], seen: number) => void = () => {},
): Promise<void> {
  const { reference } = objective
  if (!reference) return
  const { wholeBatches: _, ...free } = cut
  const seen = new Set<number>()
  const steps = batches[Symbol.iterator]()
  const next = () => {
    const { value: step, done } = steps.next()
    if (done) return null
    const examples = step.map((batch) => batch.map((i) => rows[i]!))
    return { step, examples, laid: examples.flat().every((row) => reference.has(row)) ? null : objective.layOut(examples, free) }
  }
  let coming = next()
  while (coming) {
    const { step, examples, laid } = coming
    const made = step.flatMap((batch, b) => batch.filter((_, at) => !reference.has(examples[b]![at]!)))
    for (const i of step.flat()) seen.add(i)
    let ahead: Promise<ReturnType<typeof next>> | undefined
    if (made.length > 0) {
      signal?.throwIfAborted()
      const begin = (pass: Pass) => {
        const running = runner.run(pass, { seed: 0, step: 0, lossScale: 0 }, signal)
        ahead ??= madeAhead(runner, next, (made) => made?.laid?.passes ?? [])
        return running
      }
      for await (const [pass, scores] of oneAhead(laid!.passes, begin, runner.queues)) reference.keep(pass, scores, laid!)
    }
    onScored(made, seen.size)
    coming = ahead ? await ahead : next()
  }
}

/** With LongRoPE a row's numbers depend on the longest row of its micro-batch, which is another in every epoch. */
export async function requireAlike(
  lists: readonly (readonly Example[])[],
  { longBeyond }: CutOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (longBeyond === undefined) return
  let first: Example | undefined
  let long = 0
  for (const examples of lists)
    for await (const example of unhurried(examples, signal)) {
      if (longestSequence([example]) <= longBeyond) continue
      first ??= example
      long++
    }
  const all = lists.reduce((n, { length }) => n + length, 0)
  if (first && long < all)
    throw new SaqrError(
      'DATA_TOO_LONG',
      say`${first.source}, row ${first.row}: more than ${longBeyond} tokens, beyond which this model turns positions of a whole micro-batch otherwise: a reference that is scored once is not supported for rows on both sides of it. Cut rows to ${longBeyond} tokens.`,
    )
}
