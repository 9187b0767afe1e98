/** How an optimiser moves a range of parameters: what it keeps of one, and the op that does it. One entry a rule; `optim` chooses among them. */
import type { ParameterSpec } from '../adapters/adapter.ts'
import { isVector } from '../adapters/expert-layout.ts'
import { SaqrError, say } from '../error.ts'
import { dynamicMap } from '../formats/dynamic-map.ts'
import { adafactor, adafactorState } from '../ops/adafactor/op.ts'
import { type AdamWOptions, adamw } from '../ops/adamw/op.ts'
import { lion } from '../ops/lion/op.ts'
import type { Builder, Tensor } from '../ops/op.ts'
import { type RmsStepOptions, rmsStep } from '../ops/rms-step/op.ts'
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

/** a trained tensor and where it begins in the flat range */
export interface Placed {
  offset: number
  spec: ParameterSpec
}

export interface UpdateRule {
  /**
   * Tensors move one by one, each by its own shape: what the rule's only state, of the range, has of one, in elements.
   * @throws SaqrError OPTION_UNSUPPORTED for a tensor that it can't move
   */
  each?: (spec: ParameterSpec) => {
    elements: number
    apply(b: Builder, p: Tensor, g: Tensor, state: Tensor, norm: Tensor, options: UpdateOptions): void
  }
  /** the state's store tensors of a range, names less the layout's scope: those of `ending` are the range's own, f32 or u8, of n elements or n / 256; the others all ranges share */
  state(range: Range, ending: string, tensors: readonly Placed[]): WeightSpec[]
  /** of the state what never changes, by name; everything else begins as zeros and is kept in checkpoints */
  tables?: Readonly<Record<string, () => Float32Array>>
  apply(b: Builder, p: Tensor, g: Tensor, state: readonly Tensor[], norm: Tensor, options: UpdateOptions): void
}

const one = (name: string, cols: number, dtype: WeightSpec['dtype'] = 'f32') => ({ name, rows: 1, cols, dtype })
const size = ({ from, to }: Range) => to - from

const moments = (range: Range, ending: string) => [one(`adam_m${ending}`, size(range)), one(`adam_v${ending}`, size(range))]

function averageOfSquares(of: Pick<RmsStepOptions, 'kept' | 'added' | 'eps'>): UpdateRule {
  return {
    state: (range, ending) => [one(`rms_v${ending}`, size(range))],
    apply: (b, p, g, [v], norm, { weightDecay, rate }) => rmsStep(b, p, g, v!, norm, { ...of, weightDecay, rate }),
  }
}

/** each a rule whole: what editors read of it is `UpdateRule`, not the shape of its literal */
const rules = <Name extends string>(of: Record<Name, UpdateRule>): Readonly<Record<Name, UpdateRule>> => of

export const UPDATE_RULES = rules({
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
    tables: { adam_map_signed: () => dynamicMap(true), adam_map_unsigned: () => dynamicMap(false) },
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
  // torch's defaults, which transformers leaves as they are
  rmsprop: averageOfSquares({ kept: 0.99, added: 1 - 0.99, eps: 1e-8 }),
  adagrad: averageOfSquares({ kept: 1, added: 1, eps: 1e-10 }),
  adafactor: {
    state: (_, ending, tensors) => [
      one(
        `adafactor${ending}`,
        tensors.reduce((sum, { spec }) => sum + matricesOf(spec).elements, 0),
      ),
    ],
    each: matricesOf,
    apply() {
      throw new Error('adafactor moves tensors one by one')
    },
  },
})

/** What Adafactor takes a tensor for: as in its file, a vector or the matrices of the last two dimensions. */
function matricesOf(spec: ParameterSpec): ReturnType<NonNullable<UpdateRule['each']>> {
  const { rows, cols, role, shape, experts } = spec
  // A of all experts is one matrix in the file, B lies there in another order
  const known = role !== 'experts' || shape?.length === 3 || (experts?.of === 'A' && experts.wide)
  if (!known)
    throw new SaqrError(
      'OPTION_UNSUPPORTED',
      say`adafactor keeps moments of rows and columns, which of ${spec.name} lie otherwise in its file: train experts with adamw_torch or adamw_8bit`,
    )
  const matrices = shape?.length === 3 ? shape[0]! : 1
  const sizes = { matrices, rows: isVector(spec) ? 0 : rows / matrices }
  return {
    elements: adafactorState(rows * cols, sizes),
    apply: (b, p, g, state, norm, { weightDecay, rate }) => adafactor(b, p, g, state, norm, { ...sizes, weightDecay, rate }),
  }
}

export type UpdateRuleName = keyof typeof UPDATE_RULES
