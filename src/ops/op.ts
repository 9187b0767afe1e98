/** What an op is: the types of its outputs, its backward in terms of ops, what it costs. Kernels live beside it, one file a device. */
import type { DType, Tensor } from '../models/trace.ts'

export type { DType, Tensor }

export interface TensorSpec {
  rows: number
  cols: number
  dtype: DType
  /** output `i` needs no buffer of its own: it is written into this tensor (gradients in the store) */
  into?: Tensor
}

/** Numbers a kernel reads, in the op's declared order. */
export type Attrs = Readonly<Record<string, number>>

/** Constant tables (RoPE frequencies …) become store tensors; an op's inputs may be absent (`null`). */
export interface Node {
  readonly op: Op
  readonly inputs: readonly (Tensor | null)[]
  readonly outputs: readonly Tensor[]
  readonly attrs: Attrs
  /** checkpoint path of the module it belongs to */
  readonly name: string
  /** block index, or -1 outside the blocks */
  readonly block: number
}

/** Records nodes; what backward rules and adapters are written in. */
export interface Builder {
  apply(op: Op, inputs: readonly (Tensor | null)[], attrs: Attrs, name?: string): Tensor[]
  /** columns [from, from + cols) of x, no copy */
  columns(x: Tensor, from: number, cols: number): Tensor
  /** the f32 gradient accumulator of a trainable store tensor, same shape */
  gradientOf(parameter: Tensor): Tensor
  /** per-pass input by name: ids, depth, position, visibleFrom, visibleUntil, row … */
  input(name: string): Tensor
}

export interface Op {
  readonly name: string
  /** names of the attributes a kernel reads, in order */
  readonly attrs: readonly string[]
  outputs(inputs: readonly (Tensor | null)[], attrs: Attrs): TensorSpec[]
  /**
   * dInputs from dOutputs (an output nobody differentiates is `null`). Only inputs with `needsGrad` are asked for; gradients of
   * store tensors are written into their accumulator by the nodes emitted here and returned as `null`.
   * Absent: the op has no derivative (it must not lie below anything trainable).
   */
  backward?(b: Builder, node: Node, dOutputs: readonly (Tensor | null)[]): (Tensor | null)[]
  /** [output, input]: the output may take the input's buffer when that dies here */
  readonly inPlace?: readonly (readonly [number, number])[]
  /** node's result + other as one node (a product takes more parts, or an addend); null or absent: an `add` */
  mergeSum?(b: Builder, node: Node, other: Tensor, otherNode: Node | undefined): Tensor | null
  /** recomputing it is cheaper than keeping its outputs (element-wise) */
  readonly cheap?: boolean
  /** outputs once more, more cheaply than by running the op again, from its other outputs; null where it can't */
  rematerialise?(b: Builder, node: Node): (Tensor | null)[]
  /** where they depend on the rows: of one row that fills the pass */
  flops(node: Node): number
  /** FLOPs of one visible (query, key) pair, where the rows decide how many there are */
  pairFlops?(node: Node): number
  /** bytes moved at the least; default: each input read once, each output written once */
  bytes?(node: Node): number
  /** scratch the kernel needs beside its tensors, bytes */
  workspace?(node: Node): number
}

/** The reference device hands an op plain f64 matrices, row-major and dense. */
export interface Matrix {
  rows: number
  cols: number
  data: Float64Array
}
/** The definition of an op: reads inputs, fills outputs (an `into` output holds its old value and is added to). */
export type Reference = (inputs: readonly (Matrix | null)[], outputs: readonly Matrix[], attrs: Attrs) => void

/**
 * How a case draws an input. `act` is the activation dtype: every case runs in f32 and in bf16. `values`: the numbers themselves
 * (indices, masks), row-major; else normal random numbers times `scale` (default 1).
 */
export interface CaseInput {
  rows: number
  cols: number
  dtype: 'act' | DType
  values?: ArrayLike<number>
  scale?: number
  /** lies in the store; `trainable`: with a gradient accumulator, checked too */
  space?: 'arena' | 'store'
  trainable?: boolean
  /** a column view: the root has this many columns and the view starts at `from` */
  within?: { cols: number; from: number }
}

/** One op at one shape; the suite (test/ops) runs it on every device: value, gradient, speed, support. */
export interface OpCase {
  name: string
  op: Op
  attrs: Attrs
  inputs: readonly (CaseInput | null)[]
  /** ‖Δ‖₂ / ‖y‖₂ allowed against the f64 reference, with the reason in a comment beside the number */
  tolerance: { f32: number; bf16: number }
  /** run by `npm run bench:ops` */
  bench?: boolean
}
