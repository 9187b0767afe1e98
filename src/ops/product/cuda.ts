/**
 * A product of few rows is one kernel of our own that reads weights as they are stored (few.cuh). Else one of one part is a cuBLASLt call. Of several, it is one kernel of our own on Hopper, which reads the parts where they lie (large.cuh);
 * elsewhere, and for what that doesn't take, a cuBLASLt call a part, each adding to the one before. Which way is a matter of shapes, types and
 * alignment alone. A weight that is not of x's type (NF4, an adapter's f32) is brought into scratch first.
 */
import { castInto, materialise, materialisedBytes } from '../cast/cuda.ts'
import { type CudaStep, type Launch, runs } from '../cuda-launch.ts'
import { fewFits, fewLaunch } from './few.ts'
import { largeFits, largeLaunch, type Operands } from './large.ts'
import { productOp } from './op.ts'

type Step = CudaStep<(typeof productOp)['attrs']>

function operands({ inputs, outputs, attrs }: Step): Operands {
  const parts = []
  for (let i = 2; i < inputs.length; i += 2) parts.push({ x: inputs[i]!, w: inputs[i + 1]! })
  return { parts, trans: attrs.trans, alpha: attrs.alpha, addend: inputs[0]!, bias: inputs[1]!, y: outputs[0]! }
}

/** the bias lies before the weight in scratch */
const biasBytes = ({ bias, y }: Operands) => (bias ? materialisedBytes(bias, y.dtype) : 0)

/** each part is added to the sum of those before; addend and bias ride in the first and the last */
function oneAfterAnother(step: Step, o: Operands, scratch: bigint): Launch[] {
  const { parts, trans, alpha, addend, y } = o
  const bias = materialise(step, o.bias ? [o.bias] : [], y.dtype, scratch)
  const slot = scratch + BigInt(biasBytes(o))
  // cuBLASLt rounds otherwise where the addend lies apart from y; whether it does is the planner's choice, and must not change a bit
  const apart = addend && (addend.at !== y.at || addend.stride !== y.stride)
  const products = parts.flatMap(({ x, w }, p): Launch[] => {
    const { dense, launches } = materialise(step, [w], x.dtype, slot)
    const c = p > 0 || addend ? y : null
    const last = p === parts.length - 1
    const matmul = { a: x, b: dense[0]!, transA: false, transB: !trans, alpha, c, bias: (last && bias.dense[0]) || null, y }
    return [...launches, { kind: 'matmul', ...matmul }]
  })
  return [...(apart ? [castInto(step.name, addend, y)] : []), ...bias.launches, ...products]
}

/** one kernel for all parts, their weights in scratch at once; null: it doesn't take them */
function together(step: Step, o: Operands, scratch: bigint): Launch[] | null {
  const weights = o.parts.map(({ w }) => w)
  const { dense, launches } = materialise(step, weights, o.y.dtype, scratch)
  const ready = { ...o, parts: o.parts.map(({ x }, p) => ({ x, w: dense[p]! })) }
  return largeFits(ready) ? [...launches, largeLaunch(step, ready)] : null
}

/** whether a card has the kernel for it */
const mayBeTogether = ({ parts, y }: Operands, arch: number) => arch === 90 && parts.length > 1 && y.dtype === 'bf16'

export const cuda = [
  runs(productOp, {
    scratch(step, { arch }) {
      const o = operands(step)
      const weights = o.parts.map(({ x, w }) => materialisedBytes(w, x.dtype))
      return biasBytes(o) + (mayBeTogether(o, arch) ? weights.reduce((a, b) => a + b) : Math.max(...weights))
    },
    launch(step, scratch, { arch }) {
      const o = operands(step)
      if (fewFits(o, arch)) return [fewLaunch(step, o)]
      return (mayBeTogether(o, arch) && together(step, o, scratch)) || oneAfterAnother(step, o, scratch)
    },
  }),
]
