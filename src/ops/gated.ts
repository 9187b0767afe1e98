/** Ops of gated activations, h = activation(gate) · up: what they have in common but for the activation itself. */
import { type NoAttrs, none, type Op } from './op.ts'

export interface GatedOps {
  forward: Op<NoAttrs>
  backward: Op<NoAttrs>
}

/** The ops `name` and `name`_backward. `flops`: of each element, forward and backward. */
export function gated(name: string, flops: { forward: number; backward: number }): GatedOps {
  const backward: Op<NoAttrs> = {
    name: `${name}_backward`,
    attrs: none,
    /** inputs: dH, gate, up (T, F); outputs: dGate, dUp (T, F) */
    outputs: ([dH]) => [0, 1].map(() => ({ rows: dH!.rows, cols: dH!.cols, dtype: dH!.dtype })),
    inPlace: [
      [0, 1],
      [0, 0],
      [1, 2],
      [1, 0],
    ],
    flops: ({ outputs: [d] }) => flops.backward * d!.rows * d!.cols,
  }
  const forward: Op<NoAttrs> = {
    name,
    attrs: none,
    /** inputs: gate, up (T, F); output: h (T, F) */
    outputs: ([gate]) => [{ rows: gate!.rows, cols: gate!.cols, dtype: gate!.dtype }],
    backward: (b, node, [dH]) => b.apply(backward, [dH!, ...node.inputs], {}, node.name),
    inPlace: [
      [0, 0],
      [0, 1],
    ],
    cheap: true,
    flops: ({ outputs: [h] }) => flops.forward * h!.rows * h!.cols,
  }
  return { forward, backward }
}
