import { SaqrError } from '../../error.ts'
import { type CudaStep, type CudaTensor, ceilDiv, instance, kernel, runs, source, typeOf, vectorWidth } from '../cuda-launch.ts'
import { combineOp, dispatchOp, spreadOp } from './op.ts'

const from = source(import.meta.url)

/** a block's shared memory has a count of each */
const MOST_EXPERTS = 4096

/** how the slots are cut: a warp's each, at most 1024 pieces */
function piecesOf(slots: number): { count: number; size: number } {
  const size = Math.max(256, 32 * ceilDiv(slots, 32 * 1024))
  return { count: ceilDiv(slots, size), size }
}

/** a block does a token, whose sorted rows `places` (T, k) tells */
function move(step: CudaStep, name: string, input: CudaTensor, places: CudaTensor, y: CudaTensor) {
  const width = vectorWidth([input, y])
  const args = [y.cols, input.at, input.stride, places.at, places.stride, places.cols, y.at, y.stride]
  return [kernel(from, `${name}_${instance(typeOf(step, input, y), width)}`, [places.rows, ceilDiv(y.cols, 256 * width)], 256, args)]
}

export const cuda = [
  runs(dispatchOp, {
    scratch: ({ inputs: [chosen], attrs: { experts } }) => piecesOf(chosen!.rows * chosen!.cols).count * experts * 4,
    launch({ name, inputs, outputs, attrs: { experts } }, scratch) {
      const [chosen] = inputs
      const [offsets, order, places] = outputs
      if (experts > MOST_EXPERTS)
        throw new SaqrError('DEVICE_UNSUPPORTED', `${name}: dispatch on CUDA takes up to ${MOST_EXPERTS} experts, not ${experts}.`)
      const slots = chosen!.rows * chosen!.cols
      const { count, size } = piecesOf(slots)
      const args = [slots, chosen!.cols, chosen!.at, chosen!.stride, experts, size, scratch]
      const placed = [order!.at, order!.stride, places!.at, places!.stride]
      return [
        kernel(from, 'dispatch_count', [count], 32, args, experts * 4),
        kernel(from, 'dispatch_offsets', [1], 1024, [count, experts, scratch, offsets!.at, offsets!.stride]),
        kernel(from, 'dispatch_place', [count], 32, [...args, ...placed], experts * 4),
      ]
    },
  }),
  runs(spreadOp, {
    launch(step) {
      const [x, , places] = step.inputs
      return move(step, 'spread', x!, places!, step.outputs[0]!)
    },
  }),
  runs(combineOp, {
    launch(step) {
      const [rows, , places] = step.inputs
      return move(step, 'combine', rows!, places!, step.outputs[0]!)
    },
  }),
]
