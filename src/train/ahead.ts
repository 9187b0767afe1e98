/** What is done of the step to come while the device computes: its rows laid out, plans of new sizes made, its first pass queued. */
import type { PassScores } from '../engine/runner.ts'
import { type StepData, stepData } from './data.ts'
import type { Run } from './run.ts'
import { beginStep, during } from './step.ts'

export class Ahead {
  readonly #run: Run
  #coming: { step: number; made: Promise<StepData>; data: StepData | null } | null = null
  /** gradients alone, which nothing but the update of its own step reads */
  #begun: Promise<PassScores> | null = null

  constructor(run: Run) {
    this.#run = run
  }

  /** Begins with a step's rows, after what the step before it queues at once. */
  layOut(step: number): void {
    const coming: { step: number; made: Promise<StepData>; data: StepData | null } = { step, made: this.#made(step), data: null }
    // whoever comes to the step is told of a failure; where nobody does, nobody asks
    coming.made.then(
      (data) => (coming.data = data),
      () => {},
    )
    this.#coming = coming
  }

  async #made(step: number): Promise<StepData> {
    await new Promise((resolve) => setImmediate(resolve))
    const data = dataOf(this.#run, step)
    await this.#run.runner.prepareAhead(data.passes)
    return data
  }

  /** Queues its first pass, where the device takes it now and the rows are there. */
  begin(signal?: AbortSignal): void {
    const { step, data } = this.#coming ?? {}
    if (step === undefined || !data || signal?.aborted || !this.#run.runner.queues) return
    this.#begun = beginStep(this.#run, data, step, signal)
  }

  /** The step's data, made now where nothing was done, and what was begun of it. */
  async take(step: number): Promise<{ data: StepData; begun: Promise<PassScores> | null }> {
    const [coming, begun] = [this.#coming, this.#begun]
    this.#coming = null
    this.#begun = null
    return { data: coming ? await during(step, coming.made) : dataOf(this.#run, step), begun }
  }

  /** Nothing goes on for a step that doesn't come. */
  async stop(): Promise<void> {
    await this.#coming?.made.catch(() => {})
    await this.#begun?.catch(() => {})
  }
}

const dataOf = ({ objective, examples, sampler, cut }: Run, step: number) => stepData(objective, examples, sampler, step, cut)
