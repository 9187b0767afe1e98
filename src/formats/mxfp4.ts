/**
 * Experts in MXFP4 (OCP Microscaling Formats 1.0; gpt-oss): `X_blocks` (E, N, G, 16) holds 32 codes of 4 bits a block, the first in the low
 * nibble, `X_scales` (E, N, G) a power of two for each. X itself is (E, 32·G, N), as transformers has it.
 */
import { SaqrError } from '../error.ts'
import { checkRows, type StoredTensor } from './dense.ts'
import { readRange } from './files.ts'
import { powerOfTwo } from './fp8.ts'
import { bytesOf, f32ToBf16 } from './numbers.ts'
import type { CheckpointTensor } from './tensor.ts'

const [BLOCKS, SCALES] = ['_blocks', '_scales'] as const
/** bytes of a block's codes, and codes */
const [BYTES, CODES] = [16, 32] as const

/** Takes packed experts and their scales out of `stored`; what is left is dense. Errors: FORMAT_MXFP4. */
export function takeMxfp4(stored: Map<string, StoredTensor>): CheckpointTensor[] {
  const found: CheckpointTensor[] = []
  for (const [key, blocks] of [...stored]) {
    if (!key.endsWith(BLOCKS) || blocks.storage !== 'U8') continue
    const name = key.slice(0, -BLOCKS.length)
    const scales = stored.get(name + SCALES)
    if (!scales) throw bad(blocks, `has no ${name}${SCALES} beside it`)
    stored.delete(key)
    stored.delete(name + SCALES)
    found.push(mxfp4Tensor(name, blocks, scales))
  }
  return found
}

function mxfp4Tensor(name: string, blocks: StoredTensor, scales: StoredTensor): CheckpointTensor {
  const [experts = 0, rows = 0, groups = 0, bytes] = blocks.shape
  if (blocks.shape.length !== 4 || bytes !== BYTES)
    throw bad(blocks, `has the shape ${blocks.shape.join(' × ')} where experts × rows × blocks × ${BYTES} is needed`)
  if (scales.storage !== 'U8' || String(scales.shape) !== String([experts, rows, groups]))
    throw bad(
      blocks,
      `has scales in ${scales.storage} of the shape ${scales.shape.join(' × ')} where U8 of ${experts} × ${rows} × ${groups} is needed`,
    )
  const shape = [experts, groups * CODES, rows]
  const size = rows * groups
  return {
    name,
    shape,
    rows: experts,
    cols: size * CODES,
    dtype: 'f32',
    storage: 'MXFP4',
    bytes: blocks.bytes + scales.bytes,
    load(to, from = 0, count = experts - from) {
      checkRows(name, experts, from, count)
      const out = new Float32Array(count * size * CODES)
      for (let e = 0; e < count; e++) {
        const codes = readRange(blocks.path, blocks.offset + (from + e) * size * BYTES, size * BYTES)
        const powers = readRange(scales.path, scales.offset + (from + e) * size, size)
        decode(codes, powers, rows, groups, out.subarray(e * size * CODES, (e + 1) * size * CODES))
      }
      return bytesOf(to === 'f32' ? out : f32ToBf16(out))
    },
  }
}

/** 1 bit of sign, 2 of exponent, 1 of fraction */
const VALUES = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6]

/** one expert: (rows, groups, 16) packed -> (groups · 32, rows). Values times powers of two are exact in f32 and in bf16. */
function decode(codes: Uint8Array, powers: Uint8Array, rows: number, groups: number, out: Float32Array): void {
  for (let row = 0, block = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++, block++) {
      const scale = powerOfTwo(powers[block]!)
      for (let i = 0; i < BYTES; i++) {
        const byte = codes[block * BYTES + i]!
        const at = (g * CODES + 2 * i) * rows + row
        out[at] = VALUES[byte & 15]! * scale
        out[at + rows] = VALUES[byte >> 4]! * scale
      }
    }
  }
}

function bad({ path, name }: StoredTensor, what: string): SaqrError {
  return new SaqrError('FORMAT_MXFP4', `${path}: the packed tensor ${name} ${what}. Fetch or save the checkpoint again.`)
}
