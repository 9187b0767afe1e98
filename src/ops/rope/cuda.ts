import { type CudaOp, ceilDiv, f32, instance, kernel, source, typeOf, vectorWidth } from '../cuda-launch.ts'

const from = source(import.meta.url)

export const ropeTableCuda: CudaOp = {
  launch(step) {
    const [position, invFreq] = step.inputs
    const [table] = step.outputs
    const half = invFreq!.cols
    const args = [table!.rows, half, position!.at, invFreq!.at, table!.at, table!.stride, f32(step.attrs.attentionFactor!)]
    return [kernel(from, 'rope_table', [ceilDiv(table!.rows * half, 128)], 128, args)]
  },
}

export const ropeCuda: CudaOp = {
  launch(step) {
    const [x, table] = step.inputs
    const [y] = step.outputs
    const { headDim, rotaryDim: rotary, interleaved, sign } = step.attrs as Record<'headDim' | 'rotaryDim' | 'interleaved' | 'sign', number>
    const heads = x!.cols / headDim
    const wide = !interleaved && rotary % 16 === 0 && headDim % 8 === 0
    const width = wide ? vectorWidth([x!, y!]) : 1
    const perRow = heads * (headDim - rotary / 2)
    const args = [heads, headDim, rotary, interleaved, f32(sign), x!.at, x!.stride, table!.at, table!.stride, y!.at, y!.stride]
    return [kernel(from, `rope_${instance(typeOf(step, x!, y!), width)}`, [x!.rows, ceilDiv(perRow, 128 * width)], 128, args)]
  },
}
