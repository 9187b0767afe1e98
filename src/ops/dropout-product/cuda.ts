/**
 * Few ranks in bf16 are kernels of our own, which read x or write dX once and draw the mask on the way (ranks.cuh). What they don't take is
 * dropped in scratch, around a product.
 */
import { castInto, materialise, materialisedBytes } from '../cast/cuda.ts'
import {
  bytesOf,
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  elementwise,
  f32,
  type KernelArg,
  type KernelLaunch,
  kernel,
  type Launch,
  runs,
  source,
} from '../cuda-launch.ts'
import { dropInto } from '../dropout/cuda.ts'
import { dropoutInputGradOp, dropoutProductOp, dropoutWeightGradOp } from './op.ts'

const [from, ofRanks] = [source(import.meta.url), source(import.meta.url, 'ranks.cu')]

type Step = CudaStep<(typeof dropoutProductOp)['attrs']>
type Where = readonly (CudaTensor | null)[]

/** ranks of the kernels' instances */
const RANKS = [16, 32, 64]
/** tokens of a product's pass up to which blocks of 16 fill a card better than blocks of 32; of few ranks two blocks fit a multiprocessor */
const SHORT = 2112

const wide = ({ at, stride, dtype }: CudaTensor) => dtype === 'bf16' && at % 16n === 0n && stride % 8 === 0

/** `over`: matrices of tokens by channels; `ranks`: of tokens by ranks */
function fits(arch: number, over: readonly (CudaTensor | null)[], ranks: CudaTensor): boolean {
  const pairs =
    ranks.dtype === 'bf16' && ranks.cols % 2 === 0 && ranks.cols <= RANKS.at(-1)! && ranks.stride % 2 === 0 && ranks.at % 4n === 0n
  return arch >= 80 && pairs && over.every((t) => !t || (wide(t) && t.cols % 8 === 0))
}

/** the same before anything has a place: columns of something wider may begin where no vector does */
const surelyFits: typeof fits = (arch, over, ranks) => fits(arch, over, ranks) && [...over, ranks].every((t) => !t || t.stride === t.cols)

/** the struct Mask of ranks.cuh, and what is kept times this */
const maskArgs = ({ attrs: { p, module, alpha } }: Step, [row, depth, stepInts]: Where): KernelArg[] => {
  return [row!.at, depth!.at, stepInts!.at, module, Math.ceil(p * 2 ** 32), f32(alpha / (1 - p))]
}

const matrix = ({ at, stride }: CudaTensor): KernelArg[] => [at, stride]
const instanceOf = (ranks: number) => RANKS.find((most) => ranks <= most)!

/** a matrix of its own in scratch */
const inScratch = (at: bigint, like: CudaTensor): CudaTensor => {
  const wide = 16 / bytesOf(like.dtype)
  return { ...like, at, stride: ceilDiv(like.cols, wide) * wide, quant: null }
}
const scratchBytes = (like: CudaTensor) => {
  const t = inScratch(0n, like)
  return ceilDiv(t.rows * t.stride * bytesOf(t.dtype), 256) * 256
}

const productFits = ({ inputs: [x], outputs: [u] }: Step, arch: number, how = fits) => how(arch, [x!], u!)

const product = runs(dropoutProductOp, {
  scratch(step, { arch }) {
    const [x, w] = step.inputs
    return materialisedBytes(w!, x!.dtype) + (productFits(step, arch, surelyFits) ? 0 : scratchBytes(x!))
  },
  launch(step, scratch, { arch }): Launch[] {
    const [x, w, ...where] = step.inputs
    const u = step.outputs[0]!
    const { dense, launches } = materialise(step, [w!], x!.dtype, scratch)
    const a = dense[0]!
    if (productFits(step, arch)) {
      const high = x!.rows <= SHORT || u.cols <= RANKS[0]! ? 1 : 2
      const args = [x!.rows, x!.cols, u.cols, ...matrix(x!), ...matrix(a), ...matrix(u), ...maskArgs(step, where)]
      return [...launches, kernel(ofRanks, `dropout_product_${high}_${instanceOf(u.cols)}`, [ceilDiv(x!.rows, 16 * high)], 512, args)]
    }
    const dropped = inScratch(scratch + BigInt(materialisedBytes(w!, x!.dtype)), x!)
    const { alpha } = step.attrs
    const matmul = { a: dropped, b: a, transA: false, transB: true, alpha, c: null, bias: null, y: u }
    return [...launches, dropInto(step, x!, dropped, where, step.attrs), { kind: 'matmul', ...matmul }]
  },
})

const inputFits = ({ inputs: [addend, dU], outputs: [dX] }: Step, arch: number, how = fits) => how(arch, [addend!, dX!], dU!)

const inputGrad = runs(dropoutInputGradOp, {
  scratch(step, { arch }) {
    const w = step.inputs[2]!
    const dX = step.outputs[0]!
    return materialisedBytes(w, dX.dtype) + (inputFits(step, arch, surelyFits) ? 0 : scratchBytes(dX))
  },
  launch(step, scratch, { arch }): Launch[] {
    const [addend, dU, w, ...where] = step.inputs
    const dX = step.outputs[0]!
    const { dense, launches } = materialise(step, [w!], dX.dtype, scratch)
    const a = dense[0]!
    if (inputFits(step, arch)) {
      const tensors = [...matrix(dU!), ...matrix(a), ...(addend ? matrix(addend) : [0n, 0]), ...matrix(dX)]
      const args = [dX.rows, dX.cols, dU!.cols, ...tensors, ...maskArgs(step, where)]
      return [
        ...launches,
        kernel(ofRanks, `dropout_input_grad_${instanceOf(dU!.cols)}`, [ceilDiv(dX.cols, 256), ceilDiv(dX.rows, 128)], 256, args),
      ]
    }
    const whole = inScratch(scratch + BigInt(materialisedBytes(w!, dX.dtype)), dX)
    const { alpha } = step.attrs
    const matmul = { a: dU!, b: a, transA: false, transB: false, alpha, c: null, bias: null, y: whole }
    return [...launches, { kind: 'matmul', ...matmul }, ...addDropped(step, whole, addend ?? null, dX, where)]
  },
})

/** y = addend + dropout(x) */
function addDropped(step: Step, x: CudaTensor, addend: CudaTensor | null, y: CudaTensor, where: Where): KernelLaunch[] {
  if (!addend) return [dropInto(step, x, y, where, step.attrs)]
  const [row, depth, stepInts] = where
  const { p, module } = step.attrs
  const args = [row!.at, depth!.at, stepInts!.at, module, Math.ceil(p * 2 ** 32), f32(1 / (1 - p))]
  const apart = addend.at !== y.at || addend.stride !== y.stride
  return [...(apart ? [castInto(step.name, addend, y)] : []), elementwise(from, step, 'dropout_add', [x, y], args)]
}

const weightFits = ({ inputs: [dU, x] }: Step, arch: number, how = fits) => how(arch, [x!], dU!)

const weightGrad = runs(dropoutWeightGradOp, {
  scratch: (step, { arch }) => (weightFits(step, arch, surelyFits) ? 0 : scratchBytes(step.inputs[1]!)),
  launch(step, scratch, { arch }): Launch[] {
    const [dU, x, , ...where] = step.inputs
    const dW = step.outputs[0]!
    if (weightFits(step, arch)) {
      const args = [x!.rows, x!.cols, dU!.cols, ...matrix(dU!), ...matrix(x!), ...matrix(dW), ...maskArgs(step, where)]
      return [kernel(ofRanks, `dropout_weight_grad_${instanceOf(dU!.cols)}`, [ceilDiv(x!.cols, 32)], 512, args)]
    }
    const dropped = inScratch(scratch, x!)
    const { alpha } = step.attrs
    const matmul = { a: dU!, b: dropped, transA: true, transB: false, alpha, c: dW, bias: null, y: dW }
    return [dropInto(step, x!, dropped, where, step.attrs), { kind: 'matmul', ...matmul }]
  },
})

export const cuda = [product, inputGrad, weightGrad]
