/**
 * What `auto` comes to, and what a job's hyperparameters mean to a trainer. Jobs train a LoRA adapter on every linear of the blocks; the learning
 * rates that a multiplier of 1 stands for are those that adapters are commonly trained with: 2e-4 on answers to imitate, 2e-5 on pairs.
 */
import type { FineTuningHyperparameters, FineTuningMethod } from './objects.ts'

export const LORA = { r: 16, loraAlpha: 16 } as const
const LEARNING_RATE = { supervised: 2e-4, dpo: 2e-5 } as const
const BETA = 0.1

/** examples that a run sees, all epochs together, where the number of epochs is left to us (as in OpenAI's cookbook: 3 epochs between these) */
const FEWEST = 100
const MOST = 25_000

/** The numbers of a job on so many examples. */
export function settled(
  type: FineTuningMethod['type'],
  asked: FineTuningHyperparameters,
  examples: number,
): Record<keyof FineTuningHyperparameters, number> {
  const or = (value: number | 'auto' | undefined, auto: number) => (value === undefined || value === 'auto' ? auto : value)
  const { n_epochs, batch_size, learning_rate_multiplier, beta } = asked
  return {
    n_epochs: or(n_epochs, epochsFor(examples)),
    batch_size: or(batch_size, batchFor(examples)),
    learning_rate_multiplier: or(learning_rate_multiplier, 1),
    ...(type === 'dpo' ? { beta: or(beta, BETA) } : {}),
  } as Record<keyof FineTuningHyperparameters, number>
}

function epochsFor(examples: number): number {
  if (3 * examples < FEWEST) return Math.min(25, Math.ceil(FEWEST / examples))
  return 3 * examples > MOST ? Math.max(1, Math.floor(MOST / examples)) : 3
}

/** 0.2 % of the examples, from 2 to 16: of few, an adapter learns more in more steps than in larger ones (bench/results/jobs.txt) */
function batchFor(examples: number): number {
  return Math.min(16, Math.max(2, Math.round(examples / 500)))
}

export const learningRateOf = (type: FineTuningMethod['type'], multiplier: number): number => LEARNING_RATE[type] * multiplier
