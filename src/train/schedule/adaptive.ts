/**
 * Schedules that follow a metric of the evaluation rows: torch's ReduceLROnPlateau, and transformers' GreedyLR (arXiv 2512.14527). All that they
 * remember is numbers, which a checkpoint keeps.
 */
import type { Args } from './args.ts'

/** ±1e308 stands for Python's infinities, which JSON has no word for: no loss lies beyond. */
const WORST = 1e308

export type Memory = Record<string, number>

export interface Adaptive {
  names: readonly string[]
  /** Checks arguments. Returns what is remembered at first, and what an evaluation makes of it. */
  begin(args: Args, learningRate: number): { first: Memory; evaluated(memory: Memory, value: number): void }
}

/** mode, threshold and threshold_mode: is `value` better than `best`? */
function comparison(args: Args, threshold: number, relative: boolean) {
  const least = args.word('mode', 'min', ['min', 'max']) === 'min'
  const margin = args.number('threshold', threshold)
  const rel = args.word('threshold_mode', relative ? 'rel' : 'abs', ['rel', 'abs']) === 'rel'
  const isBetter = (value: number, best: number) => {
    if (Math.abs(best) === WORST) return true
    if (least) return value < (rel ? best * (1 - margin) : best - margin)
    return value > (rel ? best * (1 + margin) : best + margin)
  }
  return { worst: least ? WORST : -WORST, isBetter }
}

function factorOf(args: Args, initial: number): number {
  const factor = args.number('factor', initial)
  if (factor >= 1) args.fail(`factor must be below 1, not ${factor}`)
  return factor
}

export const ADAPTIVE: Readonly<Record<string, Adaptive>> = {
  reduce_lr_on_plateau: {
    names: ['mode', 'factor', 'patience', 'threshold', 'threshold_mode', 'cooldown', 'min_lr', 'eps'],
    begin(args, learningRate) {
      const { worst, isBetter } = comparison(args, 1e-4, true)
      const factor = factorOf(args, 0.1)
      const patience = args.whole('patience', 10)
      const cooldown = args.whole('cooldown', 0)
      const lowest = args.number('min_lr', 0)
      const eps = args.number('eps', 1e-8)
      return {
        first: { rate: learningRate, best: worst, bad: 0, cooling: 0 },
        evaluated(m, value) {
          if (isBetter(value, m.best!)) {
            m.best = value
            m.bad = 0
          } else m.bad!++
          if (m.cooling! > 0) {
            m.cooling!--
            m.bad = 0
          }
          if (m.bad! <= patience) return
          const rate = Math.max(m.rate! * factor, lowest)
          if (m.rate! - rate > eps) m.rate = rate
          m.cooling = cooldown
          m.bad = 0
        },
      }
    },
  },
  greedy: {
    names: [
      ...['mode', 'factor', 'patience', 'threshold', 'threshold_mode', 'cooldown', 'warmup', 'min_lr', 'max_lr', 'eps'],
      ...['smooth', 'window_size', 'reset_start', 'verbose'],
    ],
    begin: greedy,
  },
}

function greedy(args: Args, learningRate: number): ReturnType<Adaptive['begin']> {
  const { worst, isBetter } = comparison(args, 1e-6, false)
  const factor = factorOf(args, 0.95)
  const patience = args.whole('patience', 10)
  const cooldown = args.whole('cooldown', 0)
  const warmup = args.whole('warmup', 0)
  const lowest = args.number('min_lr', 1e-3)
  const highest = args.number('max_lr', 1)
  const eps = args.number('eps', 1e-8)
  const resetStart = args.whole('reset_start', 500)
  const window = args.whole('window_size', 50)
  const smooth = args.flag('smooth', false)
  args.flag('verbose', false) // the rate is in every log
  const first = { rate: learningRate, best: worst, bad: 0, good: 0, cooling: 0, warming: 0, resets: resetStart, values: 0, sum: 0 }

  /** mean over the last `window` values; they are remembered by number */
  const smoothed = (m: Memory, value: number) => {
    m[`value${m.values! % window}`] ??= 0
    m.sum! += value
    if (m.values! >= window) m.sum! -= m[`value${m.values! % window}`]!
    m[`value${m.values! % window}`] = value
    m.values!++
    return m.sum! / Math.min(window, m.values!)
  }
  const reset = (m: Memory) => {
    for (const key of Object.keys(m)) delete m[key]
    Object.assign(m, first)
  }
  const reduce = (m: Memory) => {
    const rate = Math.max(m.rate! * factor, lowest)
    if (m.rate! - rate > eps) m.rate = rate
    if (m.rate! > lowest) return
    m.resets!--
    if (m.resets! <= 0) reset(m)
  }
  const increase = (m: Memory) => {
    const rate = Math.min(m.rate! / factor, highest)
    if (rate - m.rate! > eps) m.rate = rate
    m.resets = resetStart
  }
  const count = (m: Memory, value: number) => {
    const better = isBetter(value, m.best!)
    if (better) m.best = value
    m.bad = better ? 0 : m.bad! + 1
    m.good = better ? m.good! + 1 : 0
    if (m.good > patience) {
      increase(m)
      m.warming = warmup
      m.good = 0
    } else if (m.bad > patience) {
      reduce(m)
      m.cooling = cooldown
      m.bad = 0
    }
  }
  return {
    first,
    evaluated(m, given) {
      const value = smooth ? smoothed(m, given) : given
      const waits = m.cooling! > 0 ? 'cooling' : m.warming! > 0 ? 'warming' : null
      if (waits === null) return count(m, value)
      m[waits]!--
      m.bad = m.good = 0
    },
  }
}
