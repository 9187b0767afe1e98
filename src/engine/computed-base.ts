/** A base's weights as they are computed with: where a device holds them in NF4 and the checkpoint doesn't, what NF4 makes of them. */
import { nativeQuantiser } from '../devices/cpu/quantise.ts'
import { readAbsmax } from '../formats/bnb.ts'
import { type QuantisedTensor, quantiseTensor } from '../formats/bnb-write.ts'
import { dequantiseNf4, nf4Blocksize } from '../formats/nf4.ts'
import { asU16, bf16ToF32, bytesOf, f32ToBf16 } from '../formats/numbers.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import type { LanguageModel } from './language-model.ts'

/** the weights' names that are quantised as a model is opened */
export function quantisedHere({ opened, recorder }: LanguageModel): ReadonlySet<string> {
  const inNf4 = [...recorder.weights.values()].filter(({ dtype }) => dtype === 'nf4').map(({ name }) => name)
  const stored = ({ quant, parts, across }: CheckpointTensor): boolean =>
    across !== undefined || quant !== undefined || (parts?.some((part) => part.quant) ?? false)
  return new Set(inNf4.filter((name) => !stored(opened.checkpoint.tensors.get(name)!)))
}

/** The tensor dequantised: quantised whole when it is first read, as when it was loaded, and let go after its last rows. */
export function dequantised(t: CheckpointTensor, { opened }: LanguageModel): CheckpointTensor {
  const { dtype, doubleQuant } = opened.choice
  let made: QuantisedTensor | undefined
  return {
    ...t,
    source: undefined,
    blocks: undefined,
    load(to, from = 0, count = t.rows - from) {
      made ??= quantiseTensor(t, { dtype, nested: doubleQuant }, nativeQuantiser)
      const { packed, quant } = made
      const [start, end] = [from * t.cols, (from + count) * t.cols]
      const first = Math.floor(start / nf4Blocksize)
      const absmax = readAbsmax(quant, first, Math.ceil(end / nf4Blocksize) - first)
      const at = first * nf4Blocksize
      const values = dequantiseNf4(packed.subarray(at / 2), absmax, nf4Blocksize, start - at, end - start)
      if (from + count === t.rows) made = undefined
      if (to === 'bf16') return bytesOf(f32ToBf16(values))
      return bytesOf(dtype === 'bf16' ? bf16ToF32(asU16(bytesOf(f32ToBf16(values)))) : values)
    },
  }
}
