/**
 * How evenly a mixture's experts are used, and the loss that asks for it (Fedus et al. 2021), pooled over the L layers before anything is
 * multiplied, as transformers has it. A pass holds rows of G micro-batches; rows[t, g] says of how many rows of micro-batch g token t is part
 * (0 for padding; more than 1, or in several columns, where rows share their beginning).
 *   expert_load     of one layer: (2 · G, E) f32
 *                   row g      Σ_t rows[t, g] · [e is among t's k experts]
 *                   row G + g  Σ_t rows[t, g] · softmax(logits[t])_e
 *   balance_loss    F, P (G, E): the two halves summed over the layers;  n_g = Σ_e F[g, e] / k, the tokens of the micro-batch times L
 *                   loss[g] = E · Σ_e F[g, e] · P[g, e] / n_g²;  0 where n_g is 0
 *                   counts[l, e] = Σ_g of layer l's row g: how often an expert was chosen
 * F is a count and has no derivative: dP[g, e] = dloss[g] · E · F[g, e] / n_g², the same for every layer, and with
 * v[t, e] = Σ_g rows[t, g] · dP[g, e] and p = softmax(logits[t]): dlogits[t, e] = p_e · (v_e − Σ_i p_i v_i).
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor, whole } from '../op.ts'

const attrs = {
  /** experts of a token */
  k: whole(),
}

export const expertLoadOp: Op<NoAttrs> = {
  name: 'expert_load',
  attrs: none,
  /** inputs: logits (T, E) f32 or bf16, experts (T, k) i32, rows (T, G) f32 */
  outputs: ([logits, , rows]) => [{ rows: 2 * rows!.cols, cols: logits!.cols, dtype: 'f32' }],
  backward: (b, { inputs: [logits, , rows], name }, [dLoad]) => [
    b.apply(expertLoadBackwardOp, [dLoad!, logits!, rows!], {}, name)[0]!,
    null,
    null,
  ],
  flops: ({ inputs: [logits, , rows] }) => (6 + 2 * rows!.cols) * logits!.rows * logits!.cols,
}

export const expertLoadBackwardOp: Op<NoAttrs> = {
  name: 'expert_load_backward',
  attrs: none,
  /** inputs: dLoad (2 · G, E) f32, whose rows from G on count; logits (T, E), rows (T, G) f32 -> dLogits (T, E), of the logits' type */
  outputs: ([, logits]) => [{ rows: logits!.rows, cols: logits!.cols, dtype: logits!.dtype }],
  flops: ({ inputs: [, logits, rows] }) => (8 + 2 * rows!.cols) * logits!.rows * logits!.cols,
}

export const balanceLossOp: Op<typeof attrs> = {
  name: 'balance_loss',
  attrs,
  /** inputs: load of each layer (2 · G, E) f32 */
  outputs: ([load, ...more]) => [
    { rows: 1, cols: load!.rows / 2, dtype: 'f32' }, // loss (1, G)
    { rows: 1 + more.length, cols: load!.cols, dtype: 'f32' }, // counts (L, E)
  ],
  backward(b, { inputs, attrs, name }, [dLoss]) {
    if (!dLoss) return inputs.map(() => null)
    const [dLoad] = b.apply(balanceLossBackwardOp, [dLoss, ...inputs], attrs, name)
    return inputs.map(() => dLoad!)
  },
  flops: ({ inputs }) => 2 * inputs.length * inputs[0]!.rows * inputs[0]!.cols,
}

export const balanceLossBackwardOp: Op<typeof attrs> = {
  name: 'balance_loss_backward',
  attrs,
  /** inputs: dLoss (1, G) f32, load of each layer -> dLoad (2 · G, E) f32, of any layer: rows below G are 0 */
  outputs: ([, load]) => [{ rows: load!.rows, cols: load!.cols, dtype: 'f32' }],
  flops: ({ inputs }) => inputs.length * inputs[1]!.rows * inputs[1]!.cols,
}

/** logits (T, E), experts (T, k), rows (T, G) -> (2 · G, E) */
export function expertLoad(b: Builder, logits: Tensor, experts: Tensor, rows: Tensor, name?: string): Tensor {
  return b.apply(expertLoadOp, [logits, experts, rows], {}, name)[0]!
}

/** loads of L layers (2 · G, E) -> loss (1, G), counts (L, E) */
export function balanceLoss(b: Builder, loads: readonly Tensor[], k: number, name?: string): { loss: Tensor; counts: Tensor } {
  const [loss, counts] = b.apply(balanceLossOp, loads, { k }, name)
  return { loss: loss!, counts: counts! }
}
