/** Learning rate by step, as transformers' schedulers of the same names. */
import { stepsOf } from './options/rules.ts'
import type { TrainingOptions } from './options/sft.ts'

type Schedule = Pick<TrainingOptions, 'learningRate' | 'lrSchedulerType' | 'warmupSteps'>

/** share of the highest rate after warm-up; `progress` from 0 to 1 */
const DECAY: Readonly<Record<TrainingOptions['lrSchedulerType'], (progress: number) => number>> = {
  linear: (progress) => Math.max(0, 1 - progress),
  cosine: (progress) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress))),
  constant: () => 1,
  constant_with_warmup: () => 1,
}

/** the rate of optimizer step `step` (from 0) of `steps` */
export function learningRateAt(step: number, steps: number, o: Schedule): number {
  const warmup = o.lrSchedulerType === 'constant' ? 0 : stepsOf(o.warmupSteps, steps)
  if (step < warmup) return (o.learningRate * step) / Math.max(1, warmup)
  return o.learningRate * DECAY[o.lrSchedulerType]((step - warmup) / Math.max(1, steps - warmup))
}
