/** Routers: softmax and sigmoid, renormalised or not, scaled, a bias that chooses, groups, ties, scores that underflow. */
import type { CaseInput, OpCase } from '../op.ts'
import { type RouteOptions, routeBackwardOp, routeOp } from './op.ts'

interface Setup extends RouteOptions {
  tokens: number
  experts: number
  bias?: boolean
  /** logits themselves; default: a permutation of evenly spaced ones for each token, so that no rounding changes a choice */
  logits?: readonly number[]
  within?: CaseInput['within']
  bench?: boolean
}

/** spaced by 6 / E: bf16 rounds by a 256th of 3 */
function spaced(tokens: number, experts: number): number[] {
  return Array.from({ length: tokens * experts }, (_, i) => {
    const [t, e] = [Math.floor(i / experts), i % experts]
    const place = (e * stride(experts) + 5 * t) % experts
    return (6 * place) / experts - 3
  })
}

/** a step that visits every expert */
function stride(experts: number): number {
  const gcd = (a: number, b: number): number => (b ? gcd(b, a % b) : a)
  let step = Math.max(1, Math.floor(experts * 0.618))
  while (gcd(step, experts) !== 1) step++
  return step
}

// weights: exp to 2e-7, a sum, a division or two. A gradient is a difference of such terms, and in bf16 it is rounded once, 2⁻⁸
const tolerance = { f32: 2e-6, bf16: 4e-3 }

function both(name: string, { tokens, experts, bias, logits, within, bench, ...attrs }: Setup): OpCase[] {
  const values = logits ?? spaced(tokens, experts)
  const given: CaseInput = { rows: tokens, cols: experts, dtype: 'act', values, ...(within ? { within } : {}) }
  // by halves of the spacing: it changes choices, and makes no two alike
  const biases = Array.from({ length: experts }, (_, e) => 0.37 * ((e * 7) % 5) + 0.011 * e)
  const chosen = Array.from({ length: tokens * attrs.k }, (_, i) => (Math.floor(i / attrs.k) * 3 + (i % attrs.k)) % experts)
  const all = { sigmoid: false, renormalise: false, groups: 1, keptGroups: 1, groupBest: 2, scale: 1, epsilon: 0, ...attrs }
  const route: OpCase = {
    name,
    op: routeOp,
    attrs: all,
    inputs: [given, bias ? { rows: 1, cols: experts, dtype: 'f32', values: biases } : null],
    tolerance,
    bench,
  }
  const backward: OpCase = {
    name,
    op: routeBackwardOp,
    attrs: all,
    inputs: [{ rows: tokens, cols: attrs.k, dtype: 'f32' }, given, { rows: tokens, cols: attrs.k, dtype: 'i32', values: chosen }],
    tolerance,
    bench,
  }
  return [route, backward]
}

export const cases: readonly OpCase[] = [
  ...both('one expert', { tokens: 2, experts: 1, k: 1 }),
  ...both('Mixtral', { tokens: 19, experts: 8, k: 2, renormalise: true }),
  ...both('not renormalised', { tokens: 7, experts: 13, k: 3 }),
  ...both('all experts, scaled', { tokens: 5, experts: 6, k: 6, renormalise: true, scale: 2.5 }),
  ...both('sigmoid', { tokens: 9, experts: 21, k: 4, sigmoid: true, renormalise: true, scale: 1.8, epsilon: 1e-20 }),
  ...both('sigmoid, a bias that chooses', { tokens: 9, experts: 16, k: 3, sigmoid: true, renormalise: true, bias: true }),
  ...both('softmax, a bias that chooses', { tokens: 9, experts: 16, k: 3, bias: true }),
  ...both('groups', {
    tokens: 11,
    experts: 24,
    k: 4,
    sigmoid: true,
    renormalise: true,
    bias: true,
    groups: 6,
    keptGroups: 3,
    scale: 2.5,
    epsilon: 1e-20,
  }),
  ...both('groups by their best one', { tokens: 8, experts: 20, k: 3, groups: 4, keptGroups: 2, groupBest: 1 }),
  ...both('columns of a wider tensor', { tokens: 4, experts: 10, k: 2, renormalise: true, within: { cols: 33, from: 7 } }),
  ...both('scores that are 0 in f32', { tokens: 1, experts: 5, k: 3, logits: [0, 1, -200, -300, -400], renormalise: true }),
  // f32 logits are not asked for a derivative, which has no meaning at a tie
  {
    name: 'ties',
    op: routeOp,
    attrs: { k: 3, sigmoid: false, renormalise: true, groups: 1, keptGroups: 1, groupBest: 2, scale: 1, epsilon: 0 },
    inputs: [{ rows: 3, cols: 6, dtype: 'f32', values: [1, 1, 1, 1, 1, 1, 0, 2, 1, 2, 2, 1, -1, 0.5, 0.5, -1, 0.5, 0.5] }, null],
    tolerance,
  },
  {
    name: 'ties of groups',
    op: routeOp,
    attrs: { k: 2, sigmoid: true, renormalise: true, groups: 3, keptGroups: 1, groupBest: 2, scale: 1, epsilon: 1e-20 },
    inputs: [{ rows: 2, cols: 6, dtype: 'f32', values: [0, 1, 1, 0, 1, 0, 0, 0, 2, 1, 1, 2] }, null],
    tolerance,
  },
  ...both('Qwen3-30B-A3B, 2,048 tokens', { tokens: 2048, experts: 128, k: 8, renormalise: true, bench: true }),
]
