/** What is done of the step to come while the device computes: its rows laid out, plans of new sizes made, its first pass queued. */
import type { Pass } from '../data/passes.ts'
import type { PassRunner, PassScores } from '../engine/runner.ts'
import { versionOf } from '../engine/weights-version.ts'
import { type StepData, stepData } from './data.ts'
import type { Run } from './run.ts'
import { beginStep, during } from './step.ts'

export class Ahead {
  readonly #run: Run
  #coming: { step: number; made: Promise<StepData>; data: StepData | null } | null = null
  /** gradients alone, which nothing but the update of its own step reads; and the weights that they are of */
  #begun: { scores: Promise<PassScores>; version: number } | null = null
  readonly #leaving = new AbortController()
  readonly #signal: AbortSignal

  constructor(run: Run, signal?: AbortSignal) {
    this.#run = run
    this.#signal = signal ? AbortSignal.any([signal, this.#leaving.signal]) : this.#leaving.signal
  }

  /** Begins with a step's rows, after what the step before it queues at once. */
  layOut(step: number): void {
    const coming: { step: number; made: Promise<StepData>; data: StepData | null } = {
      step,
      made: madeAhead(
        this.#run.runner,
        () => dataOf(this.#run, step),
        ({ passes }) => passes,
      ),
      data: null,
    }
    coming.made.then(
      (data) => (coming.data = data),
      () => {},
    )
    this.#coming = coming
  }

  /** Queues its first pass, where the device takes it now and the rows are there. */
  begin(): void {
    const { step, data } = this.#coming ?? {}
    if (step === undefined || !data || this.#signal.aborted || !this.#run.runner.queues) return
    this.#begun = { scores: beginStep(this.#run, data, step, this.#signal), version: this.#version() }
  }

  #version(): number {
    return versionOf(this.#run.model.trainables.layout)
  }

  /** Waits until what was begun is over: who takes the time of something else doesn't count it. */
  async landed(): Promise<void> {
    await this.#begun?.scores.catch(() => {})
  }

  /** The step's data, made now where nothing was done, and what was begun of it. */
  async take(step: number): Promise<{ data: StepData; begun: Promise<PassScores> | null }> {
    const [coming, begun] = [this.#coming, this.#begun]
    this.#coming = null
    const data = coming ? await during(step, coming.made) : dataOf(this.#run, step)
    const same = begun?.version === this.#version()
    if (begun && !same) {
      // somebody wrote trained weights between two steps: these gradients are of those before
      await this.landed()
      this.#run.model.trainables.zeroGradients()
    }
    this.#begun = null
    return { data, begun: same ? begun!.scores : null }
  }

  /** Nothing goes on for a step that doesn't come. */
  async stop(): Promise<void> {
    this.#leaving.abort()
    await this.#coming?.made.catch(() => {})
    await this.landed()
  }
}

/** What comes next, and plans of its passes' sizes, made while the device computes what was just queued. Who comes to it is told what is wrong with it. */
export function madeAhead<T>(runner: PassRunner, make: () => T, passesOf: (made: T) => readonly Pass[]): Promise<T> {
  const made = (async () => {
    await new Promise((resolve) => setImmediate(resolve))
    const coming = make()
    await runner.prepareAhead(passesOf(coming))
    return coming
  })()
  made.catch(() => {})
  return made
}

const dataOf = ({ objective, examples, sampler, cut }: Run, step: number) => stepData(objective, examples, sampler, step, cut)
