/** The learning rate of each optimizer step: decided by steps alone, or following a metric of the evaluation rows. */
import { SaqrError } from '../../error.ts'
import { ADAPTIVE, type Memory } from './adaptive.ts'
import { Args, type Kwargs } from './args.ts'
import { BY_STEP } from './by-step.ts'

export interface ScheduleOptions {
  /** lr_scheduler_type */
  type: string
  /** the highest rate; of a schedule that follows a metric, the first */
  learningRate: number
  /** optimizer steps of warm-up */
  warmup: number
  kwargs: Kwargs
}

export interface Schedule {
  /** of optimizer step `step` (from 0) */
  rate(step: number): number
  /** tells the metric that it follows, after an evaluation; null: steps alone decide */
  readonly evaluated: ((value: number) => void) | null
  /** what a resumed run goes on with */
  readonly memory: Memory
}

export const SCHEDULES = [...Object.keys(BY_STEP), ...Object.keys(ADAPTIVE)]

/** does it follow a metric of the evaluation rows? */
export function followsMetric(type: string): boolean {
  return type in ADAPTIVE
}

/** does the rate rise to its highest in steps of warm-up? */
export function warmsUp(type: string): boolean {
  return BY_STEP[type] !== undefined && BY_STEP[type].warmsUp !== false
}

/**
 * The schedule of a run of `steps` optimizer steps.
 * @param memory of the run that it goes on with
 * @throws SaqrError OPTION_INVALID naming an argument that is unknown, wrong or missing
 */
export function scheduleOf(o: ScheduleOptions, steps: number, memory: Readonly<Memory> | null = null): Schedule {
  const { type, learningRate, warmup, kwargs } = o
  const byStep = BY_STEP[type]
  if (byStep) {
    const factor = byStep.shape(new Args(type, kwargs, byStep.names), { warmup, steps, learningRate })
    return { rate: (step) => learningRate * factor(step), evaluated: null, memory: {} }
  }
  const adaptive = ADAPTIVE[type]
  if (!adaptive) throw new SaqrError('OPTION_INVALID', `lrSchedulerType ${type} is none of ${SCHEDULES.join(', ')}`)
  const { first, evaluated } = adaptive.begin(new Args(type, kwargs, adaptive.names), learningRate)
  const now = { ...first, ...memory }
  return { rate: () => now.rate!, evaluated: (value) => evaluated(now, value), memory: now }
}
