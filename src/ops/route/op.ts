/**
 * Router of a mixture of experts: which k of E experts a token goes to, and how much of each. With scores s = softmax(logits), or sigmoid(logits):
 *   choice c = s + bias (the bias only chooses);  experts = the k largest c, largest first, of equal ones the lowest index
 *   weights w_j = scale · s_j / (Σ_j s_j + epsilon), renormalised, or scale · s_j
 * Groups (DeepSeek): the E experts lie in `groups` equal runs; a group's score is the sum of its `groupBest` largest c; only experts of the
 * `keptGroups` groups of the largest score (of equal ones the lowest index) can be chosen.
 *
 * Where softmax chooses alone (no bias, one group) c is the logit itself: the same order, and no rounding of the scores makes two alike.
 * All in f32, whatever the logits' type.
 *
 * Derivative, of the logits: with D = Σ_j s_j + epsilon and g_j = dw_j (0 for who wasn't chosen),
 *   renormalised  ds_j = scale · (g_j − Σ_i g_i s_i / D) / D for the chosen j;  else ds_j = scale · g_j
 *   softmax       dl_e = s_e · (ds_e − Σ_j ds_j s_j) for every e;  sigmoid  dl_e = ds_e · s_e · (1 − s_e)
 */
import { type Builder, flag, type Op, real, type Tensor, whole } from '../op.ts'

const attrs = {
  /** experts of a token */
  k: whole(),
  /** scores by sigmoid instead of softmax */
  sigmoid: flag(false),
  /** the weights of a token add up to `scale` */
  renormalise: flag(false),
  groups: whole(1),
  keptGroups: whole(1),
  /** of a group's choices: how many make its score */
  groupBest: whole(2),
  scale: real(1),
  /** beside the sum that weights are divided by */
  epsilon: real(0),
}

export interface RouteOptions {
  k: number
  sigmoid?: boolean
  renormalise?: boolean
  groups?: number
  keptGroups?: number
  groupBest?: number
  scale?: number
  epsilon?: number
}

export const routeOp: Op<typeof attrs> = {
  name: 'route',
  attrs,
  /** inputs: logits (T, E) f32 or bf16, bias (1, E) f32 | null */
  outputs: ([logits], { k }) => [
    { rows: logits!.rows, cols: k, dtype: 'f32' }, // weights (T, k)
    { rows: logits!.rows, cols: k, dtype: 'i32' }, // experts (T, k)
  ],
  backward: (b, node, [dWeights]) => [
    dWeights ? b.apply(routeBackwardOp, [dWeights, node.inputs[0]!, node.outputs[1]!], node.attrs, node.name)[0]! : null,
    null,
  ],
  flops: ({ inputs: [logits], attrs: { k } }) => (8 + k) * logits!.rows * logits!.cols,
}

export const routeBackwardOp: Op<typeof attrs> = {
  name: 'route_backward',
  attrs,
  /** inputs: dWeights (T, k) f32, logits (T, E), experts (T, k) i32 -> dLogits (T, E), of the logits' type */
  outputs: ([, logits]) => [{ rows: logits!.rows, cols: logits!.cols, dtype: logits!.dtype }],
  flops: ({ inputs: [, logits] }) => 8 * logits!.rows * logits!.cols,
}

/** logits (T, E), bias (1, E) -> weights (T, k) f32, experts (T, k) i32 */
export function route(b: Builder, logits: Tensor, bias: Tensor | null, options: RouteOptions, name?: string) {
  const [weights, experts] = b.apply(routeOp, [logits, bias], options, name)
  return { weights: weights!, experts: experts! }
}
