/**
 * The MLP of a mixture of experts (Shazeer et al. 2017): every token goes to k of E gated MLPs, y = Σ_j w_j · down_j(act(gate_j(x)) · up_j(x)).
 * The weights are those of transformers' fused tensors; older files, and what it saves, have each expert by itself.
 */
import { cast } from '../ops/cast/op.ts'
import { combine, dispatch, spread } from '../ops/dispatch/op.ts'
import { balanceLoss, expertLoad } from '../ops/load-balance/op.ts'
import { type RouteOptions, route } from '../ops/route/op.ts'
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
  gate: Gate
  routing: RouteOptions
  /** the router computes in f32, whatever the activations' type; a buffer beside its weight is added to what chooses (DeepSeek) */
  exact?: { bias: string }
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
export function sparseMlp({ experts, channels, hidden, gate, routing, rounded, exact }: Experts): (t: Trace, x: Tensor) => Tensor {
  return (t, x) => {
    const logits = t.router('mlp.gate', exact ? cast(t, x, 'f32') : x, experts) // (T, E)
    const bias = exact ? t.buffer(`mlp.gate.${exact.bias}`, experts) : null
    const routed = route(t, logits, bias, routing, 'mlp.gate')
    if (t.rows) t.keep('expert load', expertLoad(t, logits, routed.experts, t.rows, 'mlp.gate'))
    const weights = rounded ? cast(t, routed.weights, t.activation) : routed.weights // (T, k)
    const to = dispatch(t, routed.experts, experts, 'mlp.experts')
    const rows = spread(t, x, to, 'mlp.experts') // (T · k, C)
    const both = t.experts('mlp.experts.gate_up_proj', rows, to.offsets, { experts, in: channels, out: 2 * hidden }) // (T · k, 2F)
    const act = gate(t, t.columns(both, 0, hidden), t.columns(both, hidden, hidden), 'mlp.act') // (T · k, F)
    const weighed = weigh(t, act, weights, to.order, 'mlp.experts')
    return combine(t, t.experts('mlp.experts.down_proj', weighed, to.offsets, { experts, in: hidden, out: channels }), to, 'mlp.experts')
  }
}

/** The balance loss over all layers, as transformers pools it: for `DecoderParts`. */
export function balance(c: Config, k: number): Required<Pick<DecoderParts, 'term' | 'after'>> {
  return { ...evenness(k), term: { name: 'aux_loss', coefficient: c.number('router_aux_loss_coef', 0.001) } }
}

/** How often experts are chosen, of a model without a balance loss. */
export function evenness(k: number): Required<Pick<DecoderParts, 'term' | 'after'>> {
  return {
    term: { name: 'aux_loss', coefficient: null },
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
