/** The optimiser is a plan of its own over the flat gradient range: the norm, then its rule range by range. */
import type { ParameterSpec } from '../adapters/adapter.ts'
import { gradNorm } from '../ops/grad-norm/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { ParameterLayout, Range } from './layout.ts'
import { lower, type ScratchOf } from './lower.ts'
import type { Plan } from './plan.ts'
import { TraceRecorder, type WeightSpec } from './trace.ts'
import { type Placed, UPDATE_RULES, type UpdateOptions, type UpdateRule, type UpdateRuleName } from './update-rules.ts'

export interface OptimizerOptions extends Omit<UpdateOptions, 'rate'> {
  rule: UpdateRuleName
  /** what the learning rate of a tensor is multiplied with; left out: 1 for all */
  rate?: ((spec: ParameterSpec) => number) | null
}

/** the optimiser's store tensors of one range; names less the layout's scope */
function stateOf(layout: ParameterLayout, index: number, name: UpdateRuleName): WeightSpec[] {
  const rule = UPDATE_RULES[name]
  const range = layout.ranges[index]!
  return rule.state(range, `.${index}`, tensorsOf(layout, range))
}

/** of all ranges; those that several share come more than once */
export function statesOf(layout: ParameterLayout, rule: UpdateRuleName): WeightSpec[] {
  return layout.ranges.flatMap((_, index) => stateOf(layout, index, rule))
}

/** what of them never changes, by name */
export const tablesOf = (name: UpdateRuleName): NonNullable<UpdateRule['tables']> => UPDATE_RULES[name].tables ?? {}

const tensorsOf = (layout: ParameterLayout, range: Range): Placed[] =>
  [...layout.entries.values()].filter(({ offset }) => offset >= range.from && offset < range.to).sort((a, b) => a.offset - b.offset)

/** inputs: stepFloats (1, 4) f32 = lr, maxNorm (0: no clipping), step, 0; result: `optimizer.grad_norm` (1, 1) */
export function optimizerPlan(layout: ParameterLayout, options: OptimizerOptions, scratch?: ScratchOf): Plan {
  const { rule, rate: rateOf, ...others } = options
  const r = new TraceRecorder('f32', layout)
  const stepFloats = r.declareInput('stepFloats', 1, 'f32', 4)
  const norm = gradNorm(r, r.flat('gradients'))
  layout.ranges.forEach((range, index) => {
    const specs = stateOf(layout, index, rule)
    const state = specs.map(({ name, cols, dtype }) => r.flat(name, dtype, cols))
    const weightDecay = range.decay ? options.weightDecay : 0
    const { each } = UPDATE_RULES[rule]
    if (each) {
      let at = 0
      for (const { offset, spec } of tensorsOf(layout, range)) {
        const { elements, apply } = each(spec)
        const columns = (name: string) => r.columns(r.flat(name), offset, spec.rows * spec.cols)
        const own = r.columns(state[0]!, at, elements)
        apply(r, columns('parameters'), columns('gradients'), own, norm, { ...others, weightDecay, rate: rateOf?.(spec) ?? 1 })
        at += elements
      }
      return
    }
    for (const { from, to, rate } of alike(layout, range, rateOf ?? null)) {
      const part = (x: Tensor, within: number) => {
        const share = x.cols / (range.to - range.from)
        return from === range.from && to === range.to ? x : r.columns(x, within * share, (to - from) * share)
      }
      const own = state.map((x, i) => (specs[i]!.name.endsWith(`.${index}`) ? part(x, from - range.from) : x))
      const columns = (name: string) => r.columns(r.flat(name), from, to - from)
      UPDATE_RULES[rule].apply(r, columns('parameters'), columns('gradients'), own, norm, { ...others, weightDecay, rate })
    }
  })
  return lower([{ name: 'optimizer', nodes: r.nodes }], { tokens: 0, pinned: [stepFloats, norm], scratch })
}

/** The parts of a range whose tensors have one rate: they lie behind one another, each from a block on. */
function alike(layout: ParameterLayout, range: Range, rateOf: OptimizerOptions['rate']): { from: number; to: number; rate: number }[] {
  if (!rateOf) return [{ ...range, rate: 1 }]
  const parts: { from: number; to: number; rate: number }[] = []
  for (const { offset, spec } of tensorsOf(layout, range)) {
    const rate = rateOf(spec)
    const last = parts.at(-1)
    if (last) last.to = offset
    if (last?.rate !== rate) parts.push({ from: offset, to: range.to, rate })
    else last.to = range.to
  }
  return parts
}
