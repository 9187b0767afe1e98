/**
 * Which rows an optimizer step sees: as transformers' Trainer on one process, whose random sampler is accelerate's `SeedableRandomSampler`
 * (epoch e visits torch.randperm(rows) of a generator seeded with seed + e). Every step is computed from its number alone, so a run may
 * begin anywhere.
 */
import { option, SaqrError, say } from '../error.ts'
import { randomPermutation } from './mt19937.ts'

export interface SamplerOptions {
  /** examples of an epoch */
  rows: number
  /** rows of a batch */
  batchSize: number
  /** batches of an optimizer step; the last step of an epoch has those that are left */
  accumulationSteps: number
  seed: number
  /** instead of `seed` */
  dataSeed?: number | null
  /** leave out a last batch that is not full */
  dropLast?: boolean
  /** `train_sampling_strategy`: random (default) or sequential */
  strategy?: string
}

export class Sampler {
  readonly batchesPerEpoch: number
  /** optimizer steps of an epoch */
  readonly stepsPerEpoch: number
  readonly #options: SamplerOptions
  #epoch = -1
  #order: (from: number, to: number) => number[] = () => []

  /** @throws SaqrError OPTION_UNSUPPORTED (a strategy), DATA_TOO_FEW_ROWS */
  constructor(options: SamplerOptions) {
    const { rows, batchSize, accumulationSteps, dropLast = false, strategy = 'random' } = options
    if (strategy !== 'random' && strategy !== 'sequential') {
      throw new SaqrError(
        'OPTION_UNSUPPORTED',
        say`${option('trainSamplingStrategy')} ${strategy} is not supported: rows are laid end to end without padding, so grouping them by length saves nothing. Use random or sequential.`,
      )
    }
    this.#options = options
    this.batchesPerEpoch = dropLast ? Math.floor(rows / batchSize) : Math.ceil(rows / batchSize)
    if (this.batchesPerEpoch === 0) {
      const why =
        rows === 0
          ? 'there is no row to train on'
          : say`${rows} rows do not fill one batch of ${batchSize}, and ${option('dataloaderDropLast')} leaves it out`
      throw new SaqrError('DATA_TOO_FEW_ROWS', say`Nothing to train on: ${why}. Give more rows or a smaller batch.`)
    }
    this.stepsPerEpoch = Math.ceil(this.batchesPerEpoch / accumulationSteps)
  }

  /** Optimizer steps of a run: `maxSteps` where positive, else the epochs' (a fraction of an epoch counts as far as it goes). */
  totalSteps({ maxSteps, numTrainEpochs }: { maxSteps: number; numTrainEpochs: number }): number {
    return maxSteps > 0 ? maxSteps : Math.ceil(numTrainEpochs * this.stepsPerEpoch)
  }

  /** The micro-batches, as indices of examples, of optimizer step `step` (from 0) of the run. */
  batches(step: number): number[][] {
    const { batchSize, accumulationSteps } = this.#options
    const order = this.#orderOf(Math.floor(step / this.stepsPerEpoch))
    const first = (step % this.stepsPerEpoch) * accumulationSteps
    const count = Math.min(accumulationSteps, this.batchesPerEpoch - first)
    return Array.from({ length: count }, (_, i) => order((first + i) * batchSize, (first + i + 1) * batchSize))
  }

  #orderOf(epoch: number): (from: number, to: number) => number[] {
    if (this.#epoch !== epoch) {
      this.#epoch = -1 // should there be no memory for its order, it is not taken for one of no rows
      const { rows, seed, dataSeed, strategy } = this.#options
      if (strategy === 'sequential')
        this.#order = (from, to) => Array.from({ length: Math.max(0, Math.min(to, rows) - from) }, (_, i) => from + i)
      else {
        this.#order = () => [] // the order before goes first: it is as large
        const order = randomPermutation(rows, (dataSeed ?? seed) + epoch)
        this.#order = (from, to) => [...order.subarray(from, to)]
      }
      this.#epoch = epoch
    }
    return this.#order
  }
}
