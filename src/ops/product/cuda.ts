/**
 * One part is a cuBLASLt call; several are, on Hopper, one kernel of our own that reads them where they lie (large.cuh), as a rank's product
 * is (narrow.cu). Elsewhere, and for what those don't take, it is one cuBLASLt call a part, each adding to the one before. Which way is a matter
 * of shapes, types and alignment alone. A weight that is not of x's type (NF4, an adapter's f32) is brought into scratch first.
 */
import { castInto, materialise, materialiseAll, materialisedBytes } from '../cast/cuda.ts'
import { type Card, type CudaStep, type KernelLaunch, type Launch, runs } from '../cuda-launch.ts'
import { largeFits, largeLaunch, type Operands } from './large.ts'
import { narrowProduct } from './narrow.ts'
import { productOp } from './op.ts'

type Step = CudaStep<(typeof productOp)['attrs']>

function operands({ inputs, outputs, attrs }: Step): Operands {
  const parts = []
  for (let i = 2; i < inputs.length; i += 2) parts.push({ x: inputs[i]!, w: inputs[i + 1]! })
  return { parts, trans: attrs.trans, alpha: attrs.alpha, addend: inputs[0]!, bias: inputs[1]!, y: outputs[0]! }
}

const sum = (list: number[]) => list.reduce((a, b) => a + b, 0)

/** the whole product as one kernel of ours; null: none takes it, or cuBLASLt does as well */
function ours(step: Step, o: Operands, card: Card): KernelLaunch | null {
  const [part, ...more] = o.parts
  if (more.length) return largeFits(o, card) ? largeLaunch(step, o) : null
  return o.addend || o.bias ? null : narrowProduct(part!.x, part!.w, o.trans, o.alpha, o.y, card)
}

/** the bias lies before the weight in scratch */
const biasBytes = ({ bias, y }: Operands) => (bias ? materialisedBytes(bias, y.dtype) : 0)

function oneAfterAnother(step: Step, { parts, trans, alpha, addend, bias, y }: Operands, scratch: bigint): Launch[] {
  const dense = bias ? materialise(step, bias, y.dtype, scratch) : null
  const slot = scratch + BigInt(dense ? materialisedBytes(bias!, y.dtype) : 0)
  const launches: Launch[] = [...(dense?.launch ?? [])]
  // cuBLASLt rounds otherwise where the addend lies apart from y; whether it does is the planner's choice, and must not change a bit
  const inPlace = !addend || (addend.at === y.at && addend.stride === y.stride)
  if (!inPlace) launches.push(castInto(step, addend, y))
  parts.forEach(({ x, w }, p) => {
    const made = materialise(step, w, x.dtype, slot)
    launches.push(...made.launch, {
      kind: 'matmul',
      a: x,
      b: made.w,
      transA: false,
      transB: !trans,
      alpha,
      c: p > 0 || addend ? y : null,
      bias: p === parts.length - 1 ? (dense?.w ?? null) : null,
      y,
    })
  })
  return launches
}

export const cuda = [
  runs(productOp, {
    scratch(step, { arch }) {
      const o = operands(step)
      const weights = o.parts.map(({ x, w }) => materialisedBytes(w, x.dtype))
      return biasBytes(o) + (arch === 90 && o.y.dtype === 'bf16' ? sum(weights) : Math.max(...weights))
    },
    launch(step, scratch, card) {
      const o = operands(step)
      const { dense, launches } = materialiseAll(
        step,
        o.parts.map(({ w }) => w),
        o.parts[0]!.x.dtype,
        scratch,
      )
      const one = ours(step, { ...o, parts: o.parts.map(({ x }, p) => ({ x, w: dense[p]! })) }, card)
      return one ? [...launches, one] : oneAfterAnother(step, o, scratch)
    },
  }),
]
