/**
 * Products of a mixture's experts. Every kernel reads the offsets on the card; its grid is for the most tiles that any routing makes of the
 * rows, since a tile never crosses experts. bf16 is done on the tensor cores (hopper.cuh where it takes the step, tensor.cu from sm_80 on),
 * everything else without (plain.cu). Which way is a matter of shapes, types and alignment alone.
 * NF4 is decoded on the way into shared memory, every time it is read, and not into scratch: only experts that have rows are read, a whole
 * stack in bf16 (805 MB for Qwen3-30B-A3B's gate_up_proj) needs no place.
 */
import { SaqrError } from '../../error.ts'
import {
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  f32,
  type KernelArg,
  type KernelLaunch,
  kernel,
  quantArgs,
  runs,
  source,
  storedType,
  typeOf,
} from '../cuda-launch.ts'
import { hopperGradLaunch, hopperLaunch, hopperScratch, MOST_PARTS, type Operands, tilesOf } from './hopper.ts'
import { groupedProductOp, groupedWeightGradOp } from './op.ts'

const plain = source(import.meta.url, 'plain.cu')
const tensor = source(import.meta.url, 'tensor.cu')

/** number of NF4 beside storedType's */
const NF4 = 3
/** rows and columns of a tile */
const TILE = { plain: 64, tensor: 128 }

type Step = CudaStep<(typeof groupedProductOp)['attrs']>
type Part = Operands['parts'][number]

function operands({ inputs, outputs, attrs }: Step): Operands {
  const parts = Array.from({ length: (inputs.length - 1) / 2 }, (_, p) => ({ x: inputs[2 * p + 1]!, w: inputs[2 * p + 2]! }))
  return { offsets: inputs[0]!, experts: inputs[0]!.rows - 1, parts, ...attrs, y: outputs[0]! }
}

/** eight neighbours may be read at once */
function wide({ at, dtype, cols, stride, quant }: CudaTensor): boolean {
  if (dtype === 'nf4') return cols % 8 === 0 && at % 4n === 0n && quant!.blocksize % 8 === 0
  return at % 16n === 0n && stride % (dtype === 'f32' ? 4 : 8) === 0
}

/** the struct Source */
function sourceArgs(step: CudaStep, t: CudaTensor): KernelArg[] {
  if (t.dtype === 'nf4' && (!t.quant || t.stride !== t.cols))
    throw new Error(`${step.name}: a 4-bit weight without its scales, or columns of one`)
  return [t.at, t.stride, t.dtype === 'nf4' ? NF4 : storedType(step, t), wide(t) ? 1 : 0, 0]
}

/** the struct Part; null: unused */
function partArgs(step: CudaStep, part: Part | undefined): KernelArg[] {
  const unused = [0n, 0, 0, 0, 0]
  if (!part) return [...unused, ...unused, ...quantArgs(null), 0, 0]
  const { x, w } = part
  return [...sourceArgs(step, x), ...sourceArgs(step, w), ...quantArgs(w.quant), x.cols, 0]
}

/** tensor cores multiply bf16 from sm_80 on */
const onTensorCores = (type: 'f32' | 'bf16', arch: number) => type === 'bf16' && arch >= 80

/** by the kernels that read a weight of any type where it lies */
function anyLaunch(step: Step, { offsets, experts, parts, alpha, trans, y }: Operands, type: 'f32' | 'bf16', arch: number): KernelLaunch {
  const way = onTensorCores(type, arch) ? 'tensor' : 'plain'
  const blocks = tilesOf(y.rows, experts, TILE[way]) * ceilDiv(y.cols, TILE[way])
  const args = [
    ...Array.from({ length: MOST_PARTS }, (_, p) => partArgs(step, parts[p])).flat(),
    ...[offsets.at, y.at, offsets.stride, y.stride, experts, y.cols, parts.length, f32(alpha)],
  ]
  const name = `grouped_${way}${trans ? '_trans' : ''}`
  return way === 'tensor' ? kernel(tensor, name, [blocks], 256, args) : kernel(plain, `${name}_${type}`, [blocks], 256, args)
}

export const cuda = [
  runs(groupedProductOp, {
    scratch: (step, { arch }) => (arch === 90 ? hopperScratch(operands(step)) : 0),
    launch(step, scratch, { arch }) {
      const o = operands(step)
      if (o.parts.length > MOST_PARTS)
        throw new SaqrError(
          'DEVICE_UNSUPPORTED',
          `${step.name}: a grouped product on CUDA takes up to ${MOST_PARTS} parts, not ${o.parts.length}.`,
        )
      const type = typeOf(step, o.y, ...o.parts.map(({ x }) => x))
      return (arch === 90 && hopperLaunch(step, o, scratch)) || [anyLaunch(step, o, type, arch)]
    },
  }),
  runs(groupedWeightGradOp, {
    launch(step, _scratch, { arch }) {
      const [offsets, dY, x] = step.inputs
      const [dW] = step.outputs
      const { alpha } = step.attrs
      const type = typeOf(step, dY!, x!)
      const onHopper = arch === 90 && hopperGradLaunch({ offsets: offsets!, dY: dY!, x: x!, dW: dW!, alpha })
      if (onHopper) return [onHopper]
      const way = onTensorCores(type, arch) ? 'tensor' : 'plain'
      const grid = [ceilDiv(x!.cols, TILE[way]), ceilDiv(dY!.cols, TILE[way]), offsets!.rows - 1]
      if (way === 'tensor') {
        const pairs = dW!.at % 8n === 0n && dW!.stride % 2 === 0
        const args = [...sourceArgs(step, dY!), ...sourceArgs(step, x!), offsets!.at, dW!.at, offsets!.stride, dW!.stride]
        return [kernel(tensor, 'grouped_tensor_grad', grid, 256, [...args, dY!.cols, x!.cols, f32(alpha), pairs ? 1 : 0])]
      }
      const args = [offsets!.at, offsets!.stride, dY!.cols, x!.cols, f32(alpha), dY!.at, dY!.stride, x!.at, x!.stride, dW!.at, dW!.stride]
      return [kernel(plain, `grouped_plain_grad_${type}`, grid, 256, args)]
    },
  }),
]
