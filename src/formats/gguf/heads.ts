/** A linear that a file keeps as two stacks of matrices, one of each head: MLA's kv_b_proj, whose keys llama.cpp multiplies queries with. */
import { SaqrError } from '../../error.ts'
import { checkRows } from '../dense.ts'
import { asF32, bytesOf, f32ToBf16 } from '../numbers.ts'
import { madeOf, storedBytesOf } from '../stored.ts'
import type { CheckpointTensor } from '../tensor.ts'

/**
 * keys (H, C, K) and values (H, V, C) -> (H · (K + V), C): of each head the K rows that lie as columns in `keys`, then its V rows.
 * Errors: FORMAT_GGUF where they don't fit one another.
 */
export function joinHeads(name: string, keys: CheckpointTensor, values: CheckpointTensor, path: string): CheckpointTensor {
  const [heads = 0, cols = 0, keyRows = 0] = keys.shape
  const [same, valueRows = 0, width] = values.shape
  if (keys.shape.length !== 3 || values.shape.length !== 3 || heads !== same || cols !== width) {
    const shapes = [keys, values].map(({ shape }) => shape.join(' × ')).join(' and ')
    throw new SaqrError('FORMAT_GGUF', `${path}: ${name} is kept as ${shapes}, which are no matrices of as many heads for one latent.`)
  }
  const ofHead = keyRows + valueRows
  const rows = heads * ofHead
  const load = (from: number, count: number): Float32Array => {
    const out = new Float32Array(count * cols)
    for (let row = from; row < from + count; ) {
      const head = Math.floor(row / ofHead)
      const within = row - head * ofHead
      const end = Math.min(from + count, (head + 1) * ofHead, within < keyRows ? head * ofHead + keyRows : Infinity)
      const at = (row - from) * cols
      if (within < keyRows) transpose(asF32(keys.load('f32', head * cols, cols)), keyRows, within, end - row, out.subarray(at))
      else out.set(asF32(values.load('f32', head * valueRows + within - keyRows, end - row)), at)
      row = end
    }
    return out
  }
  const tensor: CheckpointTensor = {
    name,
    shape: [rows, cols],
    rows,
    cols,
    dtype: keys.dtype === values.dtype ? keys.dtype : 'f32',
    storage: keys.storage === values.storage ? keys.storage : `${keys.storage}, ${values.storage}`,
    bytes: keys.bytes + values.bytes,
    load(to, from = 0, count = rows - from) {
      checkRows(name, rows, from, count)
      const f32 = load(from, count)
      return bytesOf(to === 'f32' ? f32 : f32ToBf16(f32))
    },
  }
  return madeOf(tensor, () => storedBytesOf([keys, values]))
}

/** columns [from, from + count) of x (·, width), as rows */
function transpose(x: Float32Array, width: number, from: number, count: number, out: Float32Array): void {
  const rows = x.length / width
  for (let i = 0; i < count; i++) for (let j = 0; j < rows; j++) out[i * rows + j] = x[j * width + from + i]!
}
