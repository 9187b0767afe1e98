/** The best evaluation of a run: which checkpoint it is in, and when a run that gets no better ends. As transformers' Trainer and its EarlyStoppingCallback. */
import { option, SaqrError, say } from '../error.ts'
import { nearest } from '../hub/nearest.ts'
import type { EvalEvent } from '../track/events.ts'
import type { Objective } from './objectives/objective.ts'
import type { CommonOptions } from './options/common-config.ts'
import { camel } from './options/field.ts'

export interface Best {
  /** of the metric that is followed; null: nothing was evaluated yet */
  value: number | null
  /** of that evaluation */
  step: number | null
  /** of the best evaluation whose step has a checkpoint */
  saved: number | null
  /** evaluations in a row that were no better */
  worse: number
}

export const NO_BEST: Best = { value: null, step: null, saved: null, worse: 0 }

type Options = Pick<
  CommonOptions,
  'metricForBestModel' | 'greaterIsBetter' | 'loadBestModelAtEnd' | 'saveStrategy' | 'earlyStoppingPatience' | 'earlyStoppingThreshold'
>

/** Does anything ask which evaluation is the best? */
export function asksForBest(
  o: Pick<Options, 'loadBestModelAtEnd' | 'saveStrategy' | 'earlyStoppingPatience' | 'metricForBestModel'>,
): boolean {
  return o.loadBestModelAtEnd || o.saveStrategy === 'best' || o.earlyStoppingPatience !== null || o.metricForBestModel !== null
}

/** After an evaluation. Patience counts what is better by more than the threshold; the best is what is better at all. */
export function judged(best: Best, step: number, value: number, o: Options): Best {
  const greater = o.greaterIsBetter ?? !(o.metricForBestModel ?? 'loss').endsWith('loss')
  const better = !Number.isNaN(value) && (best.value === null || (greater ? value > best.value : value < best.value))
  const clearly = better && (best.value === null || Math.abs(value - best.value) > o.earlyStoppingThreshold)
  const worse = clearly ? 0 : best.worse + 1
  return better ? { ...best, value, step, worse } : { ...best, worse }
}

/** Has the run waited long enough for a better evaluation? */
export function outOfPatience({ worse }: Best, { earlyStoppingPatience: patience }: Pick<Options, 'earlyStoppingPatience'>): boolean {
  return patience !== null && worse >= patience
}

/** The metric that best models and schedules follow. @throws SaqrError OPTION_INVALID for one that evaluation doesn't have */
export function followed(
  { loss, metrics }: Objective,
  { metricForBestModel }: Pick<CommonOptions, 'metricForBestModel'>,
): (event: EvalEvent) => number {
  const name = (metricForBestModel ?? loss.name).replace(/^eval_/, '')
  if (name === loss.name) return ({ evalLoss }) => evalLoss
  const known = metrics.find((metric) => metric.name === name)
  if (known)
    return ({ metrics }) => {
      const value = metrics[camel(`eval_${name}`)]
      if (value !== undefined) return value
      throw new SaqrError('OPTION_INVALID', say`${option('metricForBestModel')} ${name}: this evaluation has none, for it has no such rows`)
    }
  const names = [loss, ...metrics].map((metric) => metric.name)
  const close = nearest(name, names)
  throw new SaqrError(
    'OPTION_INVALID',
    say`${option('metricForBestModel')} ${name}: evaluation has ${names.join(', ')}${close ? `; did you mean ${close}?` : ''}`,
  )
}
