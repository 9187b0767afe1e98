/**
 * The MLP of a mixture of experts (Shazeer et al. 2017): every token goes to k of E gated MLPs, y = Σ_j w_j · down_j(act(gate_j(x), up_j(x))).
 * The weights are those of transformers' fused tensors; older files, and what it saves, mostly have each expert by itself.
 */
import { cast } from '../ops/cast/op.ts'
import { combine, dispatch, spread } from '../ops/dispatch/op.ts'
import { balanceLoss, expertLoad } from '../ops/load-balance/op.ts'
import { type RouteOptions, route } from '../ops/route/op.ts'
import { slotWeights } from '../ops/slot-weights/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { weigh } from '../ops/weigh/op.ts'
import type { Config } from './config.ts'
import type { DecoderParts } from './decoder.ts'
import type { Gate } from './mlp.ts'
import { ATTENTION_LINEARS } from './self-attention.ts'
import type { Trace } from './trace.ts'

export interface Experts {
  /** E */
  experts: number
  channels: number
  /** F, of one expert */
  hidden: number
  /** what a gate_up_proj gave (M, 2F) -> (M, F); `halved` where gate is its first half */
  activation: (t: Trace, both: Tensor) => Tensor
  routing: RouteOptions
  /** its path, and whether it has a bias; default: mlp.gate, without */
  router?: { path: string; bias: boolean }
  /** every expert's linears have a bias (`…_bias`), and their matrices lie (in, out) (gpt-oss) */
  biased?: boolean
  /** the router computes in f32, whatever the activations' type; a buffer beside its weight may be added to what chooses (DeepSeek) */
  exact?: { bias?: string }
  /** the weights are rounded to the activations' type, as Qwen has it */
  rounded: boolean
}

/** k and E: a token goes to that many of that many */
export function readRouting(c: Config, experts: string): { k: number; experts: number } {
  const [k, E] = [c.count('num_experts_per_tok'), c.count(experts)]
  if (k > E) c.fail('num_experts_per_tok', `is ${k}, of ${E} experts`)
  return { k, experts: E }
}

/** x (T, C) -> (T, C) */
export function sparseMlp(mlp: Experts): (t: Trace, x: Tensor) => Tensor {
  const { experts, channels, hidden, biased } = mlp
  return (t, x) => {
    const routed = routes(t, x, mlp)
    const to = dispatch(t, routed.experts, experts, 'mlp.experts')
    const rows = spread(t, x, to, 'mlp.experts') // (T · k, C)
    // a row's biases are weighed as it is: not at all before the activation, then by its expert's weight
    const linear = (name: string, x: Tensor, out: number, weights: Tensor | null) => {
      const bias = biased ? { turned: true, bias: slotWeights(t, weights, to.order, t.activation, name) } : {}
      return t.experts(name, x, to, { experts, in: x.cols, out, ...bias })
    }
    const act = mlp.activation(t, linear('mlp.experts.gate_up_proj', rows, 2 * hidden, null)) // (T · k, F)
    const weighed = weigh(t, act, routed.weights, to.order, 'mlp.experts')
    return combine(t, linear('mlp.experts.down_proj', weighed, channels, routed.weights), to, 'mlp.experts')
  }
}

/** x (T, C) -> weights (T, k), experts (T, k) */
function routes(t: Trace, x: Tensor, { experts, routing, rounded, exact, router = { path: 'mlp.gate', bias: false } }: Experts) {
  const { path } = router
  const logits = t.router(path, exact ? cast(t, x, 'f32') : x, { experts, bias: router.bias }) // (T, E)
  const bias = exact?.bias ? t.buffer(`${path}.${exact.bias}`, experts) : null
  const routed = route(t, logits, bias, routing, path)
  if (t.rows) t.keep('expert load', expertLoad(t, logits, routed.experts, t.rows, path))
  return { ...routed, weights: rounded ? cast(t, routed.weights, t.activation) : routed.weights }
}

/** act(gate) · up of both (M, 2F), gate the first half -> (M, F) */
export function halved(gate: Gate): Experts['activation'] {
  return (t, both) => gate(t, t.columns(both, 0, both.cols / 2), t.columns(both, both.cols / 2, both.cols / 2), 'mlp.act')
}

/** The balance loss over all layers, as transformers pools it: for `DecoderParts`. */
export function balance(c: Config, k: number): Required<Pick<DecoderParts, 'term' | 'after'>> {
  const [coefficient, asked] = [c.number('router_aux_loss_coef', 0.001), c.flag('output_router_logits', false)]
  // whether it counts is an objective's to say: the model is the same
  c.means('router_aux_loss_coef', coefficient, ['output_router_logits'])
  return { ...evenness(k), term: { name: 'aux_loss', coefficient, asked } }
}

/** How often experts are chosen, of a model without a balance loss. */
export function evenness(k: number): Required<Pick<DecoderParts, 'term' | 'after'>> {
  return {
    term: { name: 'aux_loss', coefficient: null, asked: false },
    after(t) {
      const loads = t.kept('expert load')
      if (loads.length === 0) return
      const { loss, counts } = balanceLoss(t, loads, k, 'router')
      t.result('term', loss)
      t.result('counts', counts)
    },
  }
}

/** What files call an expert's gate, up and down. */
export interface ExpertNames {
  gate: string
  up: string
  down: string
}

/** the linears of a block whose MLP is of experts, and what PEFT makes of their names */
export function expertTargets({ gate, up, down }: ExpertNames): Required<Pick<DecoderParts, 'linears' | 'experts'>> {
  return {
    linears: [...ATTENTION_LINEARS, gate, up, down],
    experts: {
      parameters: { gate: 'gate.weight', [gate]: 'gate_up_proj', [up]: 'gate_up_proj', [down]: 'down_proj' },
      fused: { gate_up_proj: [gate, up] },
    },
  }
}

/** the tensors of each expert, in the order in which they lie in the fused one; `block`: what stands in those files for `mlp` */
export function expertPieces(experts: number, { gate, up, down }: ExpertNames, block = 'mlp'): (name: string) => string[][] {
  return (name) => {
    const found = /^(.*\.)mlp\.experts\.(gate_up_proj|down_proj)$/.exec(name)
    if (!found) return []
    const parts = found[2] === 'down_proj' ? [down] : [gate, up]
    return [Array.from({ length: experts }, (_, e) => parts.map((part) => `${found[1]}${block}.experts.${e}.${part}.weight`)).flat()]
  }
}
