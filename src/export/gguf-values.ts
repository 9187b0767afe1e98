/** The weights in a file that was written, tensor by tensor, beside those that were to be written. */
import { SaqrError } from '../error.ts'
import { inJavaScript } from '../formats/gguf/dequantise.ts'
import { readGguf } from '../formats/gguf/open.ts'
import type { GgmlType } from '../formats/gguf/types.ts'
import type { GgufTensorToWrite } from '../formats/gguf/write.ts'
import { asF32 } from '../formats/numbers.ts'
import { readRange } from '../hub/files.ts'

/**
 * What a type may do to a block: the root mean square of its errors is at most `relative` of its largest weight, and `absolute` where its scale is
 * a subnormal f16 (2^-25 times the largest code).
 * - F32 nothing, F16 and BF16 (blocks of 1) half an ulp.
 * - One scale: half a step, and where codes reach one step less to one side, a step; then 2^-11 of the scale for its rounding to f16. Q4_1 and
 *   Q5_1 have steps of range / 15 and / 31, the range twice the largest weight at most, and a rounded lowest value.
 * - Q4_K, Q5_K: least squares, weighted by rms + |x|, are no worse than the plain grid of steps range / 15 (31): without the weights √2 / 2 of a step, the
 *   range being twice the largest weight. 6 bits of scale and low add 2 / 126 and 1 / 126 of the super-block's largest, f16 2^-10; a tenth
 *   of that for fitted scales above the range's.
 * - Q6_K: a step of 1 / 32, as codes reach 31 to one side; 8 bits of scale add 1 / 256, f16 2^-11.
 */
const LIMITS: Readonly<Record<string, readonly [relative: number, absolute: number]>> = {
  F32: [0, 0],
  F16: [2 ** -11, 2 ** -25],
  BF16: [2 ** -8, 2 ** -134],
  Q4_0: [1 / 8 + 2 ** -11, 8 * 2 ** -25],
  Q4_1: [2 / 30 + 3 * 2 ** -11, 16 * 2 ** -25],
  Q5_0: [1 / 16 + 2 ** -11, 16 * 2 ** -25],
  Q5_1: [2 / 62 + 3 * 2 ** -11, 32 * 2 ** -25],
  Q8_0: [1 / 254 + 2 ** -11, 127 * 2 ** -25],
  Q4_K: [Math.SQRT2 / 15 + (1.1 * 3) / 126 + 2 ** -10, 1008 * 2 ** -25],
  Q5_K: [Math.SQRT2 / 31 + (1.1 * 3) / 126 + 2 ** -10, 2016 * 2 ** -25],
  Q6_K: [1 / 32 + 1 / 256 + 2 ** -11, 4096 * 2 ** -25],
}

/**
 * The first block that is farther from what it was made of than its type explains; null: there is none.
 * @param wanted values of whole blocks; @param stored what the file gives for them
 */
export function wrongBlock(wanted: Float32Array, stored: Float32Array, { name, block }: Pick<GgmlType, 'name' | 'block'>): number | null {
  const [relative, absolute] = LIMITS[name]!
  for (let at = 0; at < wanted.length; at += block) {
    let [largest, squares] = [0, 0]
    for (let i = at; i < at + block; i++) {
      largest = Math.max(largest, Math.abs(wanted[i]!))
      squares += (wanted[i]! - stored[i]!) ** 2
    }
    // a number that is none holds nothing
    if (!(Math.sqrt(squares / block) <= relative * largest + absolute)) return at / block
  }
  return null
}

/**
 * Reads the file back and asks for every tensor's values again: within the turns in which it was written.
 * @param pause is waited for after each part
 * @returns what is wrong with the first tensor that doesn't hold what was to be written; null where all do
 */
export async function wrongValues(path: string, tensors: readonly GgufTensorToWrite[], pause: () => Promise<void>): Promise<string | null> {
  const { tensors: found } = readGguf(path)
  for (const { name, type, values } of tensors) {
    const there = found.get(name)
    if (there?.type !== type) return `${name} is ${there ? there.type.name : 'not there'} where ${type.name} was written`
    let at = there.offset
    for (const wanted of values()) {
      const length = (wanted.length / type.block) * type.bytes
      if (at + length > there.offset + there.bytes) throw new SaqrError('EXPORT_TENSOR', `${name} has more values than its shape says`)
      const stored = asF32(inJavaScript(readRange(there.path, at, length), type, 'f32')) // by the definition, whatever made the blocks
      const wrong = wrongBlock(wanted, stored, type)
      if (wrong !== null) {
        const first = [wanted, stored].map((list) => list[wrong * type.block]!.toPrecision(6))
        return `${name} is not what was to be written: a block of ${type.name} begins with ${first[1]} where ${first[0]} was meant, and the type doesn't explain how far they are apart`
      }
      at += length
      await pause()
    }
  }
  return null
}
