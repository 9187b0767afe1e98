/** Runs passes: a plan for each padded size of a pass, made when it first occurs, all in one arena. */
import type { Adapter } from '../adapters/adapter.ts'
import type { Pass } from '../data/passes.ts'
import type { Device, LoadedPlan, PassInputs, RunItem } from '../devices/device.ts'
import { asF32 } from '../formats/numbers.ts'
import { chunkOf } from '../graph/chunk.ts'
import type { HeadScore } from '../graph/head.ts'
import type { Plan } from '../graph/plan.ts'
import type { Policy } from '../graph/recompute.ts'
import type { Layout } from '../graph/trace.ts'
import { type MadePass, SCORE, type TrainingSpec, tracePass } from '../graph/training.ts'
import type { Model } from '../models/family.ts'
import type { DType } from '../ops/tensor.ts'

export interface RunnerSpec {
  model: Model
  adapter: Adapter
  activation: DType
  layout: Layout
  /** positions of a head chunk; default: `chunkOf` the pass */
  chunk?: number
  /** what a block keeps in a pass of T tokens; default: all, and of a pass without gradients nothing is ever kept */
  policy?: (tokens: number) => (block: number) => Policy
  /** what becomes of logits */
  score: HeadScore
  /** see `TrainingSpec`: what the budget found room for (`Budget.overlaps`) */
  overlaps?: boolean
  /** see `TrainingSpec` */
  term?: TrainingSpec['term']
  gradients: boolean
  /** see `TrainingSpec` */
  noise?: number
  profile?: boolean
}

/** What changes between steps. */
export interface StepInputs {
  seed: number
  /** optimizer steps done before this one; also keys dropout */
  step: number
  /** multiplies Σ weight · (−logp): 1 / targets of the step */
  lossScale: number
  /** multiplies the model's own term of each micro-batch; default 0 */
  termScale?: number
}

/** What a pass gives the host. */
export interface PassScores {
  /** of every entry, `score.width` numbers each */
  entries: Float32Array
  /** of every head position, `score.stats` numbers each; empty where the objective asks for none */
  stats: Float32Array
  /** what the family gives beside, by name: `Trace.result` */
  results: Readonly<Record<string, { rows: number; cols: number; values: Float32Array }>>
}

interface Planned extends Pick<MadePass, 'results'> {
  loaded: LoadedPlan
}

export class PassRunner {
  readonly spec: RunnerSpec
  /** does the device take a run while another is under way? */
  readonly queues: boolean
  readonly #device: Device
  readonly #take: (tokens: number) => MadePass | undefined
  readonly #plans = new Map<number, Planned>()
  #disposed = false

  /** `take`: a pass of T tokens that was made already, of just this `spec` */
  constructor(device: Device, spec: RunnerSpec, take: (tokens: number) => MadePass | undefined = () => undefined) {
    this.#device = device
    this.queues = device.describe().queues === true
    this.spec = spec
    this.#take = take
  }

  /** the plan of a pass of T tokens */
  plan(tokens: number): LoadedPlan {
    return this.#planned(tokens).loaded
  }

  /** the same before it is on the device */
  lower(tokens: number): Plan {
    return this.#made(tokens).plan
  }

  #made(tokens: number): MadePass {
    const { policy = () => () => 'all' as const } = this.spec
    const { scratch, has, copiesAdapters } = this.#device.describe()
    const traced = tracePass({ ...this.spec, tokens, scratch, has, copiesAdapters })
    return { plan: traced.lower(policy(tokens)).plan, results: traced.recorder.results }
  }

  #planned(tokens: number): Planned {
    let planned = this.#plans.get(tokens)
    if (!planned) {
      const { plan, results } = this.#take(tokens) ?? this.#made(tokens)
      this.#plans.set(tokens, (planned = { loaded: this.#device.load(plan, { profile: this.spec.profile }), results }))
    }
    return planned
  }

  /** Makes the plans of passes to come, while the device computes. */
  async prepareAhead(passes: readonly Pass[]): Promise<void> {
    for (const tokens of new Set(passes.map((pass) => pass.tokens))) {
      if (this.#disposed) return
      if (this.#plans.has(tokens)) continue
      const plan = this.plan(tokens)
      await this.#device.prepare?.(plan)
    }
  }

  get plans(): readonly LoadedPlan[] {
    return [...this.#plans.values()].map(({ loaded }) => loaded)
  }

  /** Gradients are added to the accumulators. */
  async run(pass: Pass, step: StepInputs, signal?: AbortSignal): Promise<PassScores> {
    const planned = this.#planned(pass.tokens)
    const read = this.#read(planned)
    const values = await this.#device.run(this.#items(planned.loaded, pass), this.#inputs(pass, step), { signal, read })
    return this.#scores(new Map(read.map((name, i) => [name, values[i]!])), planned, pass)
  }

  /**
   * The same where weights follow from scores: what `weigh` makes of them, a weight for each entry, is what gradients are taken with. While the
   * host decides, what the forward pass kept stays where it is.
   */
  async runWeighed(pass: Pass, step: StepInputs, weigh: (scores: PassScores) => Float32Array, signal?: AbortSignal): Promise<PassScores> {
    const planned = this.#planned(pass.tokens)
    const items = this.#items(planned.loaded, pass)
    const first = items.findLastIndex(({ segment }) => segment === SCORE) + 1
    return this.#device.turn(async (turn) => {
      await turn.run(items.slice(0, first), { ...this.#inputs(pass, step), entryWeight: new Float32Array(pass.tokens).fill(1) }, signal)
      const scores = this.#scores(new Map(this.#read(planned).map((name) => [name, turn.read(planned.loaded, name)])), planned, pass)
      await turn.run(items.slice(first), { entryWeight: weigh(scores) }, signal)
      return scores
    }, signal)
  }

  /** buffers that the host reads of a pass */
  #read({ results }: Planned): string[] {
    return ['scores', ...(this.spec.score.stats ? ['stats'] : []), ...[...results.values()].map(({ name }) => name)]
  }

  #scores(values: ReadonlyMap<string, Uint8Array>, { results }: Planned, pass: Pass): PassScores {
    const { width, stats = 0 } = this.spec.score
    const read = (name: string) => asF32(values.get(name)!)
    return {
      entries: read('scores').subarray(0, width * pass.entryStart[pass.headCount]!),
      stats: stats === 0 ? new Float32Array(0) : read('stats').subarray(0, stats * pass.headCount),
      results: Object.fromEntries([...results].map(([key, { name, rows, cols }]) => [key, { rows, cols, values: read(name) }])),
    }
  }

  /** what runs for a pass, in order, and its inputs: for checks step by step */
  prepare(pass: Pass, step: StepInputs): { plan: LoadedPlan; items: readonly RunItem[]; inputs: PassInputs } {
    const plan = this.plan(pass.tokens)
    return { plan, items: this.#items(plan, pass), inputs: this.#inputs(pass, step) }
  }

  #items(plan: LoadedPlan, pass: Pass): RunItem[] {
    return plan.plan.segments.flatMap(({ name, repeats }) =>
      Array.from({ length: repeats ? this.chunks(pass) : 1 }, (): RunItem => ({ plan, segment: name })),
    )
  }

  #inputs(pass: Pass, step: StepInputs): Record<string, ArrayBufferView> {
    const { term: { batches } = { batches: 1 }, model } = this.spec
    return model.term ? { ...inputsOf(pass, step), ...batchInputs(pass, step, batches) } : inputsOf(pass, step)
  }

  /** head chunks that this pass runs */
  chunks({ headCount, tokens }: Pass): number {
    return Math.ceil(headCount / this.chunkSize(tokens))
  }

  /** positions of a head chunk in a pass of T tokens */
  chunkSize(tokens: number): number {
    return this.spec.chunk ?? chunkOf(this.spec, tokens)
  }

  dispose(): void {
    this.#disposed = true
    for (const { loaded } of this.#plans.values()) loaded.dispose()
    this.#plans.clear()
  }
}

function inputsOf(pass: Pass, step: StepInputs): Record<string, ArrayBufferView> {
  const { ids, depth, position, long, visibleFrom, visibleUntil, row, headPositions, entryStart, entryTarget, entryWeight } = pass
  return {
    ids,
    depth,
    position,
    long,
    visibleFrom,
    visibleUntil,
    row,
    headPositions,
    ordinal: Int32Array.from(headPositions, (_, i) => i),
    headCount: Int32Array.of(pass.headCount),
    cursor: Int32Array.of(0),
    firstCursor: Int32Array.of(0),
    entryStart,
    entryTarget,
    entryWeight,
    lossScale: Float32Array.of(step.lossScale),
    stepInts: Int32Array.of(step.seed, step.step, 0, 0),
  }
}

/** of G micro-batches, of which the pass may hold fewer: those have no rows */
function batchInputs({ tokens, batches, batchRows }: Pass, { termScale = 0 }: StepInputs, G: number): Record<string, ArrayBufferView> {
  const rows = new Float32Array(tokens * G)
  for (let t = 0; t < tokens; t++) for (let g = 0; g < batches; g++) rows[t * G + g] = batchRows[t * batches + g]!
  return { batchRows: rows, termScale: new Float32Array(G).fill(termScale) }
}

/** (query, key) pairs that attention scores in this pass */
export function visiblePairs({ visibleFrom, visibleUntil }: Pass): number {
  let pairs = 0
  for (let j = 0; j < visibleFrom.length; j++) pairs += visibleUntil[j]! - visibleFrom[j]!
  return pairs
}
