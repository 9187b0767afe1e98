/** Schedules that steps alone decide, as transformers' of the same names (optimization.py). */
import { option, say } from '../../error.ts'
import type { Args } from './args.ts'

/** share of the highest rate at optimizer step `step` (from 0) */
export type Factor = (step: number) => number

interface Context {
  /** steps of warm-up, and in all */
  warmup: number
  steps: number
  learningRate: number
}

const rising = (warmup: number, after: Factor): Factor => {
  return (step) => (step < warmup ? step / Math.max(1, warmup) : after(step))
}

/** progress after warm-up, 0 to 1 */
const progressOf = (step: number, warmup: number, steps: number) => (step - warmup) / Math.max(1, steps - warmup)

const wave = (cycles: number, progress: number) => 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress))

/** Python's x % 1.0 */
const fraction = (x: number) => (x % 1 < 0 ? (x % 1) + 1 : x % 1)

/** min_lr or min_lr_rate, as a share of the highest rate */
function lowest(args: Args, learningRate: number): number {
  if (args.has('min_lr') && args.has('min_lr_rate')) args.fail('give min_lr or min_lr_rate, not both')
  if (args.has('min_lr_rate')) return args.number('min_lr_rate')
  if (!args.has('min_lr')) args.fail('min_lr or min_lr_rate is needed')
  if (learningRate === 0) args.fail(say`min_lr needs a ${option('learningRate')} above 0`)
  return args.number('min_lr') / learningRate
}

const STYLES = ['linear', 'cosine', '1-sqrt']

export interface ByStep {
  /** its arguments */
  names: readonly string[]
  shape(args: Args, context: Context): Factor
  /** false: it begins at its highest rate, whatever the warm-up */
  warmsUp?: false
}

export const BY_STEP: Readonly<Record<string, ByStep>> = {
  linear: {
    names: [],
    shape: (_, { warmup, steps }) => rising(warmup, (step) => Math.max(0, (steps - step) / Math.max(1, steps - warmup))),
  },
  cosine: {
    names: ['num_cycles'],
    shape(args, { warmup, steps }) {
      const cycles = args.number('num_cycles', 0.5)
      return rising(warmup, (step) => Math.max(0, wave(cycles, progressOf(step, warmup, steps))))
    },
  },
  cosine_with_restarts: {
    names: ['num_cycles'],
    shape(args, { warmup, steps }) {
      const cycles = args.number('num_cycles', 1)
      return rising(warmup, (step) => {
        const progress = progressOf(step, warmup, steps)
        return progress >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * fraction(cycles * progress))))
      })
    },
  },
  polynomial: {
    names: ['lr_end', 'power'],
    shape(args, { warmup, steps, learningRate }) {
      const end = args.number('lr_end', 1e-7)
      const power = args.number('power', 1)
      if (!(learningRate > end)) args.fail(say`lr_end (${end}) must be below the ${option('learningRate')} (${learningRate})`)
      return rising(warmup, (step) => {
        if (step > steps) return end / learningRate
        const left = 1 - (step - warmup) / (steps - warmup)
        return ((learningRate - end) * left ** power + end) / learningRate
      })
    },
  },
  constant: { names: [], warmsUp: false, shape: () => () => 1 },
  constant_with_warmup: { names: [], shape: (_, { warmup }) => rising(warmup, () => 1) },
  inverse_sqrt: {
    names: ['timescale'],
    shape(args, { warmup }) {
      const timescale = args.number('timescale', warmup || 10_000)
      if (timescale <= 0) args.fail(`timescale must be above 0, not ${timescale}`)
      return rising(warmup, (step) => 1 / Math.sqrt((step + (timescale - warmup)) / timescale))
    },
  },
  cosine_with_min_lr: {
    names: ['num_cycles', 'min_lr', 'min_lr_rate'],
    shape(args, { warmup, steps, learningRate }) {
      const cycles = args.number('num_cycles', 0.5)
      const low = lowest(args, learningRate)
      return rising(warmup, (step) => Math.max(0, wave(cycles, progressOf(step, warmup, steps)) * (1 - low) + low))
    },
  },
  cosine_warmup_with_min_lr: {
    names: ['num_cycles', 'min_lr', 'min_lr_rate', 'warmup_lr_rate'],
    shape(args, { warmup, steps, learningRate }) {
      const cycles = args.number('num_cycles', 0.5)
      const low = lowest(args, learningRate)
      const from = args.has('warmup_lr_rate') ? args.number('warmup_lr_rate') : null
      return (step) => {
        if (step < warmup) {
          return from === null ? (step + 1) / Math.max(1, warmup) : from + ((1 - from) * step) / Math.max(1, warmup - 1)
        }
        const progress = (step - warmup + 1) / Math.max(1, steps - warmup)
        return Math.max(0, wave(cycles, progress) * (1 - low) + low)
      }
    },
  },
  warmup_stable_decay: {
    names: ['num_decay_steps', 'num_stable_steps', 'warmup_type', 'decay_type', 'min_lr_ratio', 'num_cycles'],
    shape(args, { warmup, steps }) {
      const decay = args.whole('num_decay_steps')
      const stable = args.has('num_stable_steps') ? args.whole('num_stable_steps') : steps - warmup - decay
      const up = args.word('warmup_type', 'linear', STYLES)
      const down = args.word('decay_type', 'cosine', STYLES)
      const low = args.number('min_lr_ratio', 0)
      const cycles = args.number('num_cycles', 0.5)
      const above = (factor: number) => Math.max(0, factor * (1 - low) + low)
      return (step) => {
        if (step < warmup) {
          const progress = step / Math.max(1, warmup)
          if (up === 'linear') return above(progress)
          return above(up === 'cosine' ? 0.5 * (1 - Math.cos(Math.PI * progress)) : 1 - Math.sqrt(1 - progress))
        }
        if (step < warmup + stable) return 1
        if (step >= warmup + stable + decay) return low
        const progress = (step - warmup - stable) / Math.max(1, decay)
        if (down === 'linear') return above(1 - progress)
        return above(down === 'cosine' ? wave(cycles, progress) : 1 - Math.sqrt(progress))
      }
    },
  },
}
