/**
 * Experts in MXFP4 (OCP Microscaling Formats 1.0; gpt-oss): `X_blocks` (E, N, G, 16) holds 32 codes of 4 bits a block, the first in the low
 * nibble, `X_scales` (E, N, G) a power of two for each. X itself is (E, 32·G, N), as transformers has it.
 */
import { SaqrError } from '../error.ts'
import { checkRows, type StoredTensor } from './dense.ts'
import { readRange } from './files.ts'
import { powerOfTwo } from './fp8.ts'
import { bytesOf, f32ToBf16 } from './numbers.ts'
import { madeOf } from './stored.ts'
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
  const channels = groups * CODES
  const size = rows * groups
  const tensor: CheckpointTensor = {
    name,
    shape: [experts, channels, rows],
    rows: experts * channels,
    cols: rows,
    dtype: 'f32',
    storage: 'MXFP4',
    bytes: blocks.bytes + scales.bytes,
    load(to, from = 0, count = experts * channels - from) {
      checkRows(name, experts * channels, from, count)
      const out = new Float32Array(count * rows)
      for (let row = from, end = from; row < from + count; row = end) {
        const e = Math.floor(row / channels)
        end = Math.min(from + count, (e + 1) * channels)
        const codes = readRange(blocks.path, blocks.offset + e * size * BYTES, size * BYTES)
        const powers = readRange(scales.path, scales.offset + e * size, size)
        decode(codes, powers, groups, row - e * channels, out.subarray((row - from) * rows, (end - from) * rows), rows)
      }
      return bytesOf(to === 'f32' ? out : f32ToBf16(out))
    },
  }
  return madeOf(tensor, () => [blocks, scales])
}

/** 1 bit of sign, 2 of exponent, 1 of fraction */
const VALUES = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6)
const POWERS = Float32Array.from({ length: 256 }, (_, byte) => powerOfTwo(byte))

/** rows decoded together: their codes stay in the processor's first cache while they are read a byte of each at a time */
const TILE = 64

/** of one expert, packed (rows, groups, 16): channels `from` on -> (channels, rows). Values times powers of two are exact in f32 and in bf16. */
function decode(codes: Uint8Array, powers: Uint8Array, groups: number, from: number, out: Float32Array, rows: number): void {
  const end = from + out.length / rows
  const scales = new Float32Array(TILE)
  for (let group = Math.floor(from / CODES); group * CODES < end; group++) {
    for (let first = 0; first < rows; first += TILE) {
      const count = Math.min(TILE, rows - first)
      for (let i = 0; i < count; i++) scales[i] = POWERS[powers[(first + i) * groups + group]!]!
      const channels = Math.min(end - group * CODES, CODES)
      for (let c = Math.max(from - group * CODES, 0); c < channels; c++) {
        const shift = (c & 1) * 4
        const to = (group * CODES + c - from) * rows + first
        for (let i = 0, at = (first * groups + group) * BYTES + (c >> 1); i < count; i++, at += groups * BYTES)
          out[to + i] = VALUES[(codes[at]! >> shift) & 15]! * scales[i]!
      }
    }
  }
}

function bad({ path, name }: StoredTensor, what: string): SaqrError {
  return new SaqrError('FORMAT_MXFP4', `${path}: the packed tensor ${name} ${what}. Fetch or save the checkpoint again.`)
}
