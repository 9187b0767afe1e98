import { type CudaTensor, runs, source } from '../cuda-launch.ts'
import { rankGradFits, rankGradLaunch, rankGradMayFit, rankGradScratch } from '../rank-grad.ts'
import { weightGradOp } from './op.ts'

const ofRanks = source(import.meta.url, 'ranks.cu')

/** which of the two may be a matrix of few ranks */
const ranksOf = (dY: CudaTensor, x: CudaTensor) =>
  dY.cols <= x.cols ? ({ by: 'rank', narrow: dY, wide: x } as const) : ({ by: 'channel', narrow: x, wide: dY } as const)

export const cuda = [
  runs(weightGradOp, {
    scratch({ inputs: [dY, x] }, { arch }) {
      const { narrow, wide } = ranksOf(dY!, x!)
      return rankGradMayFit(arch, narrow, wide) ? rankGradScratch(narrow, wide) : 0
    },
    launch({ inputs: [dY, x], outputs: [dW], attrs: { alpha } }, scratch, { arch }) {
      const { by, narrow, wide } = ranksOf(dY!, x!)
      if (rankGradFits(arch, narrow, wide))
        return [rankGradLaunch(ofRanks, `weight_grad_by_${by}`, { narrow, wide, dW: dW! }, alpha, scratch)]
      return [{ kind: 'matmul', a: dY!, b: x!, transA: true, transB: false, alpha, c: dW!, bias: null, y: dW! }]
    },
  }),
]
