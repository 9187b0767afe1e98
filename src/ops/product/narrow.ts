/** Products with a narrow side (a rank) on Hopper, which read the wide operand once (narrow.cu): which ones it takes, and their launches. */
import { type Card, type CudaTensor, ceilDiv, f32, hasTiles, type KernelLaunch, kernel, source, tiles } from '../cuda-launch.ts'

const from = source(import.meta.url, 'narrow.cu')

const WIDEST = 64
const HIGH = 128
const DEPTH = 64
const STAGES = 4
/** multiprocessors of a card of this kind: how a sum is cut must not depend on the card */
const BLOCKS = 132

/** D (m, n) = alpha · Σ a · b over `depth`: how the two lie in memory and what becomes of D is the kernel's (see NARROWS there) */
interface Problem {
  kind: 'rows' | 'trans' | 'grad' | 'grad_transposed'
  a: CudaTensor
  b: CudaTensor
  d: CudaTensor
  m: number
  n: number
  depth: number
  alpha: number
}

/** a power of two: the more, the better the card is filled */
function piecesOf(m: number, depth: number): number {
  let pieces = 1
  while (pieces < 8 && 2 * pieces * ceilDiv(m, HIGH) <= BLOCKS && 2 * pieces * DEPTH <= depth) pieces *= 2
  return pieces
}

function launch({ kind, a, b, d, m, n, depth, alpha }: Problem): KernelLaunch {
  const gradient = kind === 'grad' || kind === 'grad_transposed'
  const wide = n <= 16 ? 16 : n <= 32 ? 32 : 64
  const tile = STAGES * (HIGH * 128 + (kind === 'rows' ? wide : 64) * 128)
  const shared = Math.max(tile, HIGH * (wide + 4) * 4) + 1024 + 128
  const pieces = piecesOf(m, depth)
  const [ofA, ofB] = [tiles(a, gradient ? 64 : HIGH), tiles(b, kind === 'rows' ? wide : 64)]
  const parameters = [ofA, ofB, [d.at, d.stride, m, n, depth, f32(alpha)]]
  return kernel(from, `product_narrow_${kind}_${wide}`, [pieces, ceilDiv(m, HIGH)], 288, { parameters }, shared, pieces)
}

const fits = (card: Card, n: number, ...operands: CudaTensor[]) => card.arch === 90 && n <= WIDEST && operands.every(hasTiles)

/** y (M, N) = alpha · x · wᵀ, or x · w where `trans`; null where no kernel here does it */
export function narrowProduct(x: CudaTensor, w: CudaTensor, trans: boolean, alpha: number, y: CudaTensor, card: Card): KernelLaunch | null {
  if (y.dtype !== 'bf16' || !fits(card, y.cols, x, w)) return null
  return launch({ kind: trans ? 'trans' : 'rows', a: x, b: w, d: y, m: y.rows, n: y.cols, depth: x.cols, alpha })
}

/** dW (N, K) += alpha · dYᵀ · x; null where no kernel here does it */
export function narrowGradient(dY: CudaTensor, x: CudaTensor, alpha: number, dW: CudaTensor, card: Card): KernelLaunch | null {
  if (dW.dtype !== 'f32' || !fits(card, Math.min(dW.rows, dW.cols), dY, x)) return null
  const common = { d: dW, depth: dY.rows, alpha }
  return dW.cols <= dW.rows
    ? launch({ kind: 'grad', a: dY, b: x, m: dW.rows, n: dW.cols, ...common })
    : launch({ kind: 'grad_transposed', a: x, b: dY, m: dW.cols, n: dW.rows, ...common })
}
