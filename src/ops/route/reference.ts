/** The definition of `route` and its backward. */
import { type Attrs, defines } from '../op.ts'
import { routeBackwardOp, routeOp } from './op.ts'

type RouteAttrs = Attrs<typeof routeOp.attrs>

/** s (E) of one token */
function scores(logits: Float64Array, { sigmoid }: RouteAttrs): Float64Array {
  if (sigmoid) return logits.map((l) => 1 / (1 + Math.exp(-l)))
  const most = Math.max(...logits)
  const powers = logits.map((l) => Math.exp(l - most))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers.map((p) => p / total)
}

/** indices of the n largest, largest first; of equal ones the lowest comes first */
function largest(values: ArrayLike<number>, n: number): number[] {
  return Array.from(values, (_, i) => i)
    .sort((i, j) => values[j]! - values[i]! || i - j)
    .slice(0, n)
}

/** c (E), −∞ where an expert's group is left out */
function choices(logits: Float64Array, s: Float64Array, bias: Float64Array | undefined, attrs: RouteAttrs): Float64Array {
  const { sigmoid, groups, keptGroups, groupBest } = attrs
  if (!sigmoid && !bias && groups === 1) return logits
  const c = s.map((x, e) => x + (bias?.[e] ?? 0))
  if (groups === 1) return c
  const size = c.length / groups
  const members = (g: number) => c.subarray(g * size, (g + 1) * size)
  const groupScores = Array.from({ length: groups }, (_, g) => largest(members(g), groupBest).reduce((sum, i) => sum + members(g)[i]!, 0))
  const kept = largest(groupScores, keptGroups)
  return c.map((x, e) => (kept.includes(Math.floor(e / size)) ? x : Number.NEGATIVE_INFINITY))
}

export const references = [
  defines(routeOp, ([logits, bias], [weights, experts], attrs) => {
    const { k, renormalise, scale, epsilon } = attrs
    const E = logits!.cols
    for (let t = 0; t < logits!.rows; t++) {
      const l = logits!.data.subarray(t * E, (t + 1) * E)
      const s = scores(l, attrs)
      const chosen = largest(choices(l, s, bias?.data, attrs), k)
      const total = renormalise ? chosen.reduce((sum, e) => sum + s[e]!, 0) + epsilon : 1
      chosen.forEach((e, j) => {
        weights!.data[t * k + j] = (scale * s[e]!) / total
        experts!.data[t * k + j] = e
      })
    }
  }),
  defines(routeBackwardOp, ([dWeights, logits, experts], [dLogits], attrs) => {
    const { k, sigmoid, renormalise, scale, epsilon } = attrs
    const E = logits!.cols
    for (let t = 0; t < logits!.rows; t++) {
      const s = scores(logits!.data.subarray(t * E, (t + 1) * E), attrs)
      const chosen = experts!.data.subarray(t * k, (t + 1) * k)
      const g = dWeights!.data.subarray(t * k, (t + 1) * k)
      const total = renormalise ? chosen.reduce((sum, e) => sum + s[e]!, 0) + epsilon : 1
      const shared = renormalise ? chosen.reduce((sum, e, j) => sum + g[j]! * s[e]!, 0) / total : 0
      const ds = new Float64Array(E)
      chosen.forEach((e, j) => {
        ds[e] = (scale * (g[j]! - shared)) / total
      })
      const mean = sigmoid ? 0 : ds.reduce((sum, d, e) => sum + d * s[e]!, 0)
      for (let e = 0; e < E; e++) dLogits!.data[t * E + e] = sigmoid ? ds[e]! * s[e]! * (1 - s[e]!) : s[e]! * (ds[e]! - mean)
    }
  }),
]
