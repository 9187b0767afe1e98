/**
 * The definition of `adamw` (torch.optim.AdamW after torch.nn.utils.clip_grad_norm_) and of `adamw_8bit`.
 *
 * The 8-bit state as bitsandbytes 0.50 keeps it, read from its sources and checked against its CPU and PyTorch backends:
 *  - state value = map[code] · absmax[block], blocks of 256 elements, signed map for m, unsigned for v; all arithmetic in f32;
 *  - the update uses the new m and v before they are rounded to codes; weight decay comes first (CPU, Triton; the CUDA kernel applies it
 *    to the updated weight, a difference of lr² · decay) and eps is added to sqrt(v) / sqrt(1 − β2ᵗ);
 *  - new absmax[block] = max |value| of the block; code = the one nearest to value / absmax, the lower one on a tie; a block of zeros
 *    has absmax 0 and the code nearest to 0.
 * Backends differ in that last rule: CUDA moves a code of m whose sign is not m's by one; the C++ CPU backend reads codes from a table
 * of 65,535 equal steps over [−1, 1], so values below 1.5e-5 · absmax share a code. Ours is the nearest code, as PyTorch and Triton have it.
 */
import { type Attrs, defines, type Matrix } from '../op.ts'
import { adamw8bitOp, adamwOp } from './op.ts'

type AdamWAttrs = Attrs<typeof adamwOp.attrs>

const BLOCK = 256

interface Step {
  lr: number
  /** what the gradient is multiplied with: 1, or the clipping coefficient */
  clip: number
  /** 1 − β1ᵗ and 1 − β2ᵗ */
  correction1: number
  correction2: number
}

function readStep(norm: Matrix, stepFloats: Matrix, { beta1, beta2, rate }: AdamWAttrs): Step {
  const [lr, maxNorm, t] = stepFloats.data
  const clip = maxNorm! > 0 ? Math.min(1, maxNorm! / (norm.data[0]! + 1e-6)) : 1
  return { lr: lr! * rate, clip, correction1: 1 - beta1 ** t!, correction2: 1 - beta2 ** t! }
}

/** new p, m and v of one element */
function update(p: number, g: number, m: number, v: number, s: Step, a: AdamWAttrs): [number, number, number] {
  const clipped = g * s.clip
  const m1 = a.beta1 * m + (1 - a.beta1) * clipped
  const v1 = a.beta2 * v + (1 - a.beta2) * clipped * clipped
  const denominator = Math.sqrt(v1) / Math.sqrt(s.correction2) + a.eps
  return [p * (1 - s.lr * a.weightDecay) - ((s.lr / s.correction1) * m1) / denominator, m1, v1]
}

/** index of the value in a sorted map that lies nearest, the lower one on a tie */
function nearest(map: Float64Array, value: number): number {
  let best = 0
  for (let i = 1; i < map.length; i++) if (Math.abs(map[i]! - value) < Math.abs(map[best]! - value)) best = i
  return best
}

function quantise(values: Float64Array, map: Float64Array, codes: Float64Array, at: number): number {
  const absmax = values.reduce((max, x) => Math.max(max, Math.abs(x)), 0)
  values.forEach((x, i) => {
    codes[at + i] = nearest(map, absmax > 0 ? x / absmax : 0)
  })
  return absmax
}

export const references = [
  defines(adamwOp, ([p, g, m, v, norm, stepFloats], [pNew, gNew, mNew, vNew], attrs) => {
    if (!Number.isFinite(norm!.data[0]!)) return
    const step = readStep(norm!, stepFloats!, attrs)
    for (let i = 0; i < p!.data.length; i++) {
      const [p1, m1, v1] = update(p!.data[i]!, g!.data[i]!, m!.data[i]!, v!.data[i]!, step, attrs)
      pNew!.data[i] = p1
      mNew!.data[i] = m1
      vNew!.data[i] = v1
      gNew!.data[i] = 0
    }
  }),
  defines(
    adamw8bitOp,
    ([p, g, m, v, absmaxM, absmaxV, mapM, mapV, norm, stepFloats], [pNew, gNew, mNew, vNew, absmaxMNew, absmaxVNew], attrs) => {
      if (!Number.isFinite(norm!.data[0]!)) return
      const step = readStep(norm!, stepFloats!, attrs)
      for (let from = 0; from < p!.data.length; from += BLOCK) {
        const block = from / BLOCK
        const size = Math.min(BLOCK, p!.data.length - from)
        const ms = new Float64Array(size)
        const vs = new Float64Array(size)
        for (let k = 0; k < size; k++) {
          const i = from + k
          const mOld = mapM!.data[m!.data[i]!]! * absmaxM!.data[block]!
          const vOld = mapV!.data[v!.data[i]!]! * absmaxV!.data[block]!
          const [p1, m1, v1] = update(p!.data[i]!, g!.data[i]!, mOld, vOld, step, attrs)
          pNew!.data[i] = p1
          gNew!.data[i] = 0
          ms[k] = m1
          vs[k] = v1
        }
        absmaxMNew!.data[block] = quantise(ms, mapM!.data, mNew!.data, from)
        absmaxVNew!.data[block] = quantise(vs, mapV!.data, vNew!.data, from)
      }
    },
  ),
]
