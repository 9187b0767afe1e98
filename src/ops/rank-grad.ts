/** What launches rank-grad.cuh, the gradient of few ranks by many channels: which matrices it takes, and its blocks. */
import { type CudaSource, type CudaTensor, ceilDiv, f32, type KernelArg, type KernelLaunch, kernel } from './cuda-launch.ts'

/** ranks of the kernel's instances */
const INSTANCES = [16, 32, 48, 64]
const TOKENS = 32
const CHANNELS = 128
/** blocks that fill a card; of those that own the same channels no more than this, with so many tokens each */
const BLOCKS = 256
const MOST_SHARES = 16
const LEAST_EACH = 128
/** counters of the kernel */
const MOST_COLUMNS = 4096

export interface RankGrad {
  /** (T, R) */
  narrow: CudaTensor
  /** (T, C) */
  wide: CudaTensor
  /** (R, C) or (C, R), f32 */
  dW: CudaTensor
}

const aligned = ({ at, stride }: CudaTensor) => at % 16n === 0n && stride % 8 === 0

/** going by types and sizes: before anything has a place */
export function rankGradMayFit(arch: number, narrow: CudaTensor, wide: CudaTensor): boolean {
  const eights = [narrow, wide].every(({ dtype, cols }) => dtype === 'bf16' && cols % 8 === 0)
  return arch >= 80 && eights && narrow.cols <= INSTANCES.at(-1)! && wide.cols <= MOST_COLUMNS * CHANNELS
}

export const rankGradFits = (arch: number, narrow: CudaTensor, wide: CudaTensor) =>
  rankGradMayFit(arch, narrow, wide) && aligned(narrow) && aligned(wide)

const instanceOf = ({ cols }: CudaTensor) => INSTANCES.find((most) => cols <= most)!

/** how the tokens are cut: a function of the shape alone, so that the bits are too */
function sharesOf({ rows, cols }: CudaTensor): { shares: number; each: number } {
  const wanted = Math.min(ceilDiv(BLOCKS, ceilDiv(cols, CHANNELS)), MOST_SHARES, ceilDiv(rows, LEAST_EACH))
  const each = ceilDiv(ceilDiv(rows, wanted), TOKENS) * TOKENS
  return { shares: ceilDiv(rows, each), each }
}

/** bytes for the shares' sums */
export function rankGradScratch(narrow: CudaTensor, wide: CudaTensor): number {
  const { shares } = sharesOf(wide)
  return shares === 1 ? 0 : shares * ceilDiv(wide.cols, CHANNELS) * CHANNELS * instanceOf(narrow) * 4
}

/** `more`: arguments after struct RankGradArgs */
export function rankGradLaunch(
  from: CudaSource,
  name: string,
  { narrow, wide, dW }: RankGrad,
  scale: number,
  scratch: bigint,
  more: KernelArg[] = [],
): KernelLaunch {
  const ranks = instanceOf(narrow)
  const { shares, each } = sharesOf(wide)
  // struct RankGrad of rank-grad.cuh
  const stages = ranks > 32 ? 4 : 5
  const shared = stages * TOKENS * (CHANNELS + 8 + ranks + 8) * 2
  const sizes = [narrow.stride, wide.stride, dW.stride, wide.rows, wide.cols, narrow.cols, each]
  const args = [narrow.at, wide.at, dW.at, scratch, ...sizes, f32(scale), ...more]
  return kernel(from, `${name}_${ranks}`, [ceilDiv(wide.cols, CHANNELS), shares], 256, args, shared)
}
