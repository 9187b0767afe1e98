/** Cases as tools/oracle/schedules.py writes them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Schedule, scheduleOf } from '../../src/train/schedule/schedule.ts'

export interface ScheduleCase {
  type: string
  rate: number
  kwargs: Record<string, unknown>
  rates: number[]
  /** of schedules that steps decide */
  warmup?: number
  steps?: number
  /** of those that follow a metric: what it is at each evaluation */
  values?: number[]
}

export function casesIn(folder: string): ScheduleCase[] {
  return JSON.parse(readFileSync(join(folder, 'rates.json'), 'utf8'))
}

/** The rate of each step; of a schedule that follows a metric, after each evaluation, with its memory kept and taken up again in between. */
export function ratesOf({ type, rate, kwargs, warmup = 0, steps = 1, values }: ScheduleCase): number[] {
  const begin = (memory: Schedule['memory'] | null) => scheduleOf({ type, learningRate: rate, warmup, kwargs }, steps, memory)
  let schedule = begin(null)
  if (!values) return Array.from({ length: steps }, (_, step) => schedule.rate(step))
  return values.map((value) => {
    schedule.evaluated!(value)
    schedule = begin(JSON.parse(JSON.stringify(schedule.memory)))
    return schedule.rate(0)
  })
}

/** Of the largest rate: two libraries' cos and pow differ in their last bit, which products with a rate carry on. */
export const LAST_BITS = 4 * Number.EPSILON
