/** What launches rank-grad.cuh, the gradient of few ranks by many channels: which matrices it takes, and its blocks. */
import { type CudaSource, type CudaTensor, ceilDiv, type KernelArg, type KernelLaunch, kernel } from './cuda-launch.ts'

/** ranks of the kernel's instances */
const INSTANCES = [16, 32, 48, 64]
const TOKENS = 16
const CHANNELS = 32
const STAGES = 3

const aligned = ({ dtype, at, stride, cols }: CudaTensor) => dtype === 'bf16' && at % 16n === 0n && stride % 8 === 0 && cols % 8 === 0

/** `narrow` (T, R) and `wide` (T, C) */
export function rankGradFits(arch: number, narrow: CudaTensor, wide: CudaTensor): boolean {
  return arch >= 80 && narrow.cols <= INSTANCES.at(-1)! && aligned(narrow) && aligned(wide)
}

/** `more`: arguments after those that every instance takes */
export function rankGradLaunch(
  from: CudaSource,
  name: string,
  { narrow, wide, dW }: { narrow: CudaTensor; wide: CudaTensor; dW: CudaTensor },
  more: KernelArg[],
): KernelLaunch {
  const ranks = INSTANCES.find((most) => narrow.cols <= most)!
  // struct RankGrad of rank-grad.cuh
  const warps = ranks > 16 ? 8 : 16
  const shared = warps * STAGES * TOKENS * (CHANNELS + 8 + ranks + 8) * 2
  const matrices = [narrow, wide, dW].flatMap(({ at, stride }): KernelArg[] => [at, stride])
  const args = [wide.rows, wide.cols, narrow.cols, ...matrices, ...more]
  return kernel(from, `${name}_${ranks}`, [ceilDiv(wide.cols, CHANNELS)], 32 * warps, args, shared)
}
