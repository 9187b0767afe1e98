import { attrsOf, bytesOf, type CudaStep, ceilDiv, type KernelArg, kernel, runs, source, typeOf } from '../cuda-launch.ts'
import { pagedAttentionOp } from './op.ts'

const from = source(import.meta.url)
const grouped = source(import.meta.url, 'grouped.cu')

/** heads of one key head that a block takes, and channels that it has room for */
const GROUPS = [1, 4, 8]
const CHANNELS = [64, 128, 256]
/** floats of a block's warps for the sums of their keys: 32 KiB, so that with q they lie in what every block may have */
const SUMS = 8192
/** tokens from which on a pass has blocks enough to fill a card with few warps each */
const MANY_TOKENS = 64

export const cuda = [
  runs(pagedAttentionOp, {
    launch(step) {
      const [q, k, v, position, pages, sinks] = step.inputs
      const [o, lse] = step.outputs
      const type = typeOf(step, q!, k!, v!, o!)
      const inBf16 = sinks && typeOf(step, sinks) === 'bf16' ? 1 : 0
      // struct Paged of paged.cuh
      const pointers = [q!.at, k!.at, v!.at, o!.at, lse!.at, position!.at, pages!.at, sinks?.at ?? 0n]
      const strides = [q!, k!, v!, o!, lse!, position!, pages!].map(({ stride }) => stride)
      const args = [...pointers, ...strides, inBf16, ...attrsOf(step)]
      return [groupLaunch(step, type, args) ?? kernel(from, `paged_attention_${type}`, [q!.rows, step.attrs.heads], 128, args)]
    },
  }),
]

/** Heads of one key head together; null: for sizes that can't be read 16 bytes at a time. */
function groupLaunch(step: CudaStep<(typeof pagedAttentionOp)['attrs']>, type: 'f32' | 'bf16', args: KernelArg[]) {
  const { heads, kvHeads, headDim, valueDim } = step.attrs
  const [q, k, v] = step.inputs
  const sharing = heads / kvHeads
  const channels = CHANNELS.find((n) => n >= Math.max(headDim, valueDim))
  if (!channels) return null
  // a lane's values, 16 bytes at the most
  const lanes = Math.min(channels / 32, 16 / bytesOf(type))
  const whole = headDim % 8 === 0 && k!.stride % 8 === 0 && k!.at % 16n === 0n && valueDim % (channels / 32) === 0
  if (!whole || v!.stride % lanes || v!.at % 16n) return null
  const group = GROUPS.find((n) => n >= sharing) ?? GROUPS.at(-1)!
  const most = SUMS / (group * channels)
  const warps = Math.min(16, most, q!.rows >= MANY_TOKENS ? 4 : 16)
  const shared = 4 * (group * channels * (1 + warps) + 2 * group * warps)
  const grid = [q!.rows, kvHeads * ceilDiv(sharing, group)]
  return kernel(grouped, `paged_group${group}_of${channels}_${type}`, grid, 32 * warps, args, shared)
}
