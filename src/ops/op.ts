/** What an op is: the types of its outputs, its backward in terms of ops, what it costs. Kernels live beside it, one file a device. */
import type { AttrSpecs, Attrs, AttrValue, Given } from './attrs.ts'
import type { DType, Tensor } from './tensor.ts'

export { dtype, flag, type NoAttrs, none, real, whole, word } from './attrs.ts'
export type { AttrSpecs, Attrs, DType, Tensor }

export interface TensorSpec {
  rows: number
  cols: number
  dtype: DType
  /** it lies in the host's memory */
  onHost?: boolean
  /** output `i` needs no buffer of its own: it is written into this tensor (gradients in the store) */
  into?: Tensor
}

/** Constant tables (RoPE frequencies …) become store tensors; an op's inputs may be absent (`null`). */
export interface Node<A extends AttrSpecs = AttrSpecs> {
  readonly op: Op<A>
  readonly inputs: readonly (Tensor | null)[]
  readonly outputs: readonly Tensor[]
  readonly attrs: Attrs<A>
  /** checkpoint path of the module it belongs to */
  readonly name: string
  /** block index, or -1 outside the blocks */
  readonly block: number
}

/** Records nodes; what backward rules and adapters are written in. */
export interface Builder {
  apply<A extends AttrSpecs>(op: Op<A>, inputs: readonly (Tensor | null)[], attrs: Given<A>, name?: string): Tensor[]
  /** columns [from, from + cols) of x, no copy */
  columns(x: Tensor, from: number, cols: number): Tensor
  /** the f32 gradient accumulator of a trainable store tensor, same shape */
  gradientOf(parameter: Tensor): Tensor
  /** per-pass input by name: ids, depth, position, visibleFrom, visibleUntil, row … */
  input(name: string): Tensor
}

export interface Op<A extends AttrSpecs = AttrSpecs> {
  readonly name: string
  readonly attrs: A
  outputs(inputs: readonly (Tensor | null)[], attrs: Attrs<A>): TensorSpec[]
  /** the same in other ops, for devices that have no kernel of it (`DeviceDescription.has`): told apart when a model is traced */
  expand?(b: Builder, inputs: readonly (Tensor | null)[], attrs: Attrs<A>, name: string): Tensor[]
  /** why no kernel does this, null where they do: told by name when a model is traced, long before anything runs */
  refuses?(attrs: Attrs<A>): string | null
  /**
   * dInputs from dOutputs (an output nobody differentiates is `null`). Only inputs with `needsGrad` are asked for; gradients of
   * store tensors are written into their accumulator by the nodes emitted here and returned as `null`.
   * Absent: the op has no derivative (it must not lie below anything trainable).
   */
  backward?(b: Builder, node: Node<A>, dOutputs: readonly (Tensor | null)[]): (Tensor | null)[]
  /** a row's sums depend on how many others stand beside it, beyond how many the pass has: rows of several texts aren't put side by side for it */
  readonly rowsDepend?: true
  /** [output, input]: the output may take the input's buffer when that dies here */
  readonly inPlace?: readonly (readonly [number, number])[]
  /** node's result + other as one node (a product takes more parts, or an addend); null or absent: an `add` */
  mergeSum?(b: Builder, node: Node<A>, other: Tensor, otherNode: Node | undefined): Tensor | null
  /**
   * It runs beside the steps after it (graph/beside.ts). `copies`: a copy between card and host, which is hidden behind whole blocks. `kernels`: a
   * kernel that leaves most of a card waiting, where the device says that it overlaps such: hidden behind a step of much more arithmetic.
   */
  readonly beside?: 'copies' | 'kernels'
  /** inputs of which it reads only some rows: a frozen one may lie in the host's memory */
  readonly sparse?: readonly number[]
  /** recomputing it is cheaper than keeping its outputs (element-wise) */
  readonly cheap?: boolean
  /** outputs once more, more cheaply than by running the op again, from its other outputs; null where it can't */
  rematerialise?(b: Builder, node: Node<A>): (Tensor | null)[]
  /** indices of the inputs that are weights of a product, in whatever type they are stored: they may be given in x's (graph/working-copies.ts) */
  multiplied?(node: Node<A>): readonly number[]
  /** nodes of one x whose weights lie behind one another may be one node, their outputs columns of its output (graph/join.ts) */
  readonly widen?: {
    /** x, the trained weight that an output's columns come from, and what else must be alike; null: not this node */
    of(node: Node<A>): { x: Tensor; w: Tensor; alike: string } | null
    /** the node's inputs with a weight of more rows */
    inputs(node: Node<A>, w: Tensor): (Tensor | null)[]
  }
  /** where they depend on the rows: of one row that fills the pass */
  flops(node: Node<A>): number
  /** FLOPs of one visible (query, key) pair, where the rows decide how many there are */
  pairFlops?(node: Node<A>): number
  /** rows are parted over groups whose sizes only the device knows: tiles of small ones are not full */
  readonly inGroups?: true
  /** bytes moved at the least; default: each input read once, each output written once */
  bytes?(node: Node<A>): number
}

/** The reference device hands an op plain f64 matrices, row-major and dense. */
export interface Matrix {
  rows: number
  cols: number
  data: Float64Array
}
/** The definition of an op: reads inputs, fills outputs (an `into` output holds its old value and is added to). */
export type Reference<A extends AttrSpecs = AttrSpecs> = (
  inputs: readonly (Matrix | null)[],
  outputs: readonly Matrix[],
  attrs: Attrs<A>,
) => void

/** an op and what a device has for it: what the folder's reference.ts and cuda.ts export lists of */
export interface For<T> {
  readonly op: Op
  readonly run: T
}

/** @throws Error when two folders define one name */
export function byName<T>(list: readonly For<T>[]): Readonly<Record<string, For<T>>> {
  const all: Record<string, For<T>> = {}
  for (const entry of list) {
    const { name } = entry.op
    if (all[name]) throw new Error(`two ops are named '${name}'`)
    all[name] = entry
  }
  return all
}

/** says that `run` defines `op` */
export function defines<A extends AttrSpecs>(op: Op<A>, run: Reference<A>): For<Reference> {
  return { op, run: run as Reference } as For<Reference>
}

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
  attrs: Readonly<Record<string, AttrValue>>
  inputs: readonly (CaseInput | null)[]
  /** ‖Δ‖₂ / ‖y‖₂ allowed against the f64 reference, with the reason in a comment beside the number */
  tolerance: { f32: number; bf16: number }
  /** run by `npm run bench:ops` */
  bench?: boolean
}
