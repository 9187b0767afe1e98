/** The gated MLP (Shazeer 2020): down(act(gate(x)) · up(x)). */
import type { Builder } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Config } from './config.ts'
import type { Trace } from './trace.ts'

/** act(gate) · up, as an op */
export type Gate = (b: Builder, gate: Tensor, up: Tensor, name?: string) => Tensor

export const MLP_LINEARS = ['gate_proj', 'up_proj', 'down_proj'] as const

/** x (T, C) -> (T, C), of the sizes a config gives; at another path and of another size where they are given */
export function gatedMlp(
  c: Config,
  gate: Gate,
  bias = false,
  { path = 'mlp', hidden = c.count('intermediate_size') } = {},
): (t: Trace, x: Tensor) => Tensor {
  const channels = c.count('hidden_size')
  const up = { in: channels, out: hidden, bias }
  return (t, x) => {
    const act = gate(t, t.linear(`${path}.gate_proj`, x, up), t.linear(`${path}.up_proj`, x, up), `${path}.act`) // (T, F)
    return t.linear(`${path}.down_proj`, act, { in: hidden, out: channels, bias })
  }
}
