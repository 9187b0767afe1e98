/** The optimiser is a plan of its own over the flat gradient range: the norm, then AdamW range by range. */
import { type AdamWOptions, adamw } from '../ops/adamw/op.ts'
import { gradNorm } from '../ops/grad-norm/op.ts'
import { BLOCK, type ParameterLayout, type Range } from './layout.ts'
import { lower, type ScratchOf } from './lower.ts'
import type { Plan } from './plan.ts'
import { TraceRecorder, type WeightSpec } from './trace.ts'

export interface OptimizerOptions extends AdamWOptions {
  /** m and v of large tensors in 8 bits */
  eightBit: boolean
}

/** the optimiser's store tensors of one range, in the order adamw() takes them; names less the layout's scope */
export function stateOf(range: Range, index: number, eightBit: boolean): WeightSpec[] {
  const n = range.to - range.from
  const one = (name: string, cols: number, dtype: WeightSpec['dtype']) => ({ name, rows: 1, cols, dtype })
  if (!eightBit || !range.large) return [one(`adam_m.${index}`, n, 'f32'), one(`adam_v.${index}`, n, 'f32')]
  return [
    one(`adam_m.${index}`, n, 'u8'),
    one(`adam_v.${index}`, n, 'u8'),
    one(`adam_absmax_m.${index}`, n / BLOCK, 'f32'),
    one(`adam_absmax_v.${index}`, n / BLOCK, 'f32'),
    one('adam_map_signed', 256, 'f32'),
    one('adam_map_unsigned', 256, 'f32'),
  ]
}

/** inputs: stepFloats (1, 4) f32 = lr, maxNorm (0: no clipping), step, 0; result: `optimizer.grad_norm` (1, 1) */
export function optimizerPlan(layout: ParameterLayout, options: OptimizerOptions, scratch?: ScratchOf): Plan {
  const { beta1, beta2, eps } = options
  const r = new TraceRecorder('f32', layout)
  const stepFloats = r.declareInput('stepFloats', 1, 'f32', 4)
  const norm = gradNorm(r, r.flat('gradients'))
  layout.ranges.forEach((range, i) => {
    const part = (name: string) => r.columns(r.flat(name), range.from, range.to - range.from)
    const state = stateOf(range, i, options.eightBit).map(({ name, cols, dtype }) => r.flat(name, dtype, cols))
    const weightDecay = range.decay ? options.weightDecay : 0
    adamw(r, part('parameters'), part('gradients'), state, norm, { beta1, beta2, eps, weightDecay })
  })
  return lower([{ name: 'optimizer', nodes: r.nodes }], { tokens: 0, pinned: [stepFloats, norm], scratch })
}
