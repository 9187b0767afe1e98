import { type CudaTensor, f32, runs, source } from '../cuda-launch.ts'
import { rankGradFits, rankGradLaunch } from '../rank-grad.ts'
import { weightGradOp } from './op.ts'

const ofRanks = source(import.meta.url, 'ranks.cu')

/** which of the two is a matrix of few ranks, with the kernel's name */
function narrowOf(arch: number, dY: CudaTensor, x: CudaTensor) {
  const [name, narrow, wide] = dY.cols <= x.cols ? (['by_rank', dY, x] as const) : (['by_channel', x, dY] as const)
  return rankGradFits(arch, narrow, wide) ? { name: `weight_grad_${name}`, narrow, wide } : null
}

export const cuda = [
  runs(weightGradOp, {
    launch({ inputs: [dY, x], outputs: [dW], attrs: { alpha } }, _, { arch }) {
      const ranks = narrowOf(arch, dY!, x!)
      if (ranks) return [rankGradLaunch(ofRanks, ranks.name, { ...ranks, dW: dW! }, [f32(alpha)])]
      return [{ kind: 'matmul', a: dY!, b: x!, transA: true, transB: false, alpha, c: dW!, bias: null, y: dW! }]
    },
  }),
]
