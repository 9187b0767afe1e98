/** How an optimiser moves a range of parameters: what it keeps of one, and the op that does it. One entry a rule; `optim` chooses among them. */
import { type AdamWOptions, adamw } from '../ops/adamw/op.ts'
import { lion } from '../ops/lion/op.ts'
import type { Builder, Tensor } from '../ops/op.ts'
import { sgd } from '../ops/sgd/op.ts'
import { BLOCK, type Range } from './layout.ts'
import type { WeightSpec } from './trace.ts'

export interface UpdateOptions extends AdamWOptions {
  /** of SGD; 0: none */
  momentum: number
  nesterov: boolean
  /** what the learning rate is multiplied with here */
  rate: number
}

interface UpdateRule {
  /** the state's store tensors of a range, names less the layout's scope: those of `ending` are the range's own, f32 or u8, of n elements or n / 256; the others all ranges share */
  state(range: Range, ending: string): WeightSpec[]
  apply(b: Builder, p: Tensor, g: Tensor, state: readonly Tensor[], norm: Tensor, options: UpdateOptions): void
}

const one = (name: string, cols: number, dtype: WeightSpec['dtype'] = 'f32') => ({ name, rows: 1, cols, dtype })
const size = ({ from, to }: Range) => to - from

const moments = (range: Range, ending: string) => [one(`adam_m${ending}`, size(range)), one(`adam_v${ending}`, size(range))]

export const UPDATE_RULES = {
  adamw: { state: moments, apply: adamw },
  adamw_8bit: {
    state: (range, ending) =>
      range.large
        ? [
            one(`adam_m${ending}`, size(range), 'u8'),
            one(`adam_v${ending}`, size(range), 'u8'),
            one(`adam_absmax_m${ending}`, size(range) / BLOCK),
            one(`adam_absmax_v${ending}`, size(range) / BLOCK),
            one('adam_map_signed', 256),
            one('adam_map_unsigned', 256),
          ]
        : moments(range, ending),
    apply: adamw,
  },
  lion: {
    state: (range, ending) => [one(`lion_m${ending}`, size(range))],
    apply: (b, p, g, [m], norm, { beta1, beta2, weightDecay, rate }) => lion(b, p, g, m!, norm, { beta1, beta2, weightDecay, rate }),
  },
  sgd: {
    state: () => [],
    apply: (b, p, g, state, norm, { weightDecay, rate }) => sgd(b, p, g, state, norm, { weightDecay, momentum: 0, nesterov: false, rate }),
  },
  sgd_momentum: {
    state: (range, ending) => [one(`sgd_m${ending}`, size(range))],
    apply: (b, p, g, state, norm, { weightDecay, momentum, nesterov, rate }) =>
      sgd(b, p, g, state, norm, { weightDecay, momentum, nesterov, rate }),
  },
} as const satisfies Record<string, UpdateRule>

export type UpdateRuleName = keyof typeof UPDATE_RULES
