import { attrsOf, ceilDiv, instance, kernel, runs, source, typeOf, vectorWidth } from '../cuda-launch.ts'
import { ropeOp, ropeTableOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(ropeTableOp, {
    launch(step) {
      const [position, invFreq, long, longInvFreq] = step.inputs
      const [table] = step.outputs
      const half = invFreq!.cols
      const given = [position!.at, invFreq!.at, long?.at ?? 0n, longInvFreq?.at ?? 0n]
      const args = [table!.rows, half, ...given, table!.at, table!.stride, ...attrsOf(step)]
      return [kernel(from, 'rope_table', [ceilDiv(table!.rows * half, 128)], 128, args)]
    },
  }),
  runs(ropeOp, {
    launch(step) {
      const [x, table] = step.inputs
      const [y] = step.outputs
      const { headDim, rotaryDim: rotary, from: first, interleaved } = step.attrs
      const heads = x!.cols / headDim
      const wide = !interleaved && rotary % 16 === 0 && headDim % 8 === 0 && first % 8 === 0
      const width = wide ? vectorWidth([x!, y!]) : 1
      const perRow = heads * (headDim - rotary / 2)
      const args = [heads, ...attrsOf(step), x!.at, x!.stride, table!.at, table!.stride, y!.at, y!.stride]
      return [kernel(from, `rope_${instance(typeOf(step, x!, y!), width)}`, [x!.rows, ceilDiv(perRow, 128 * width)], 128, args)]
    },
  }),
]
