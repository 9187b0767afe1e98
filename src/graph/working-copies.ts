/**
 * Trained weights of few rows or columns, as an adapter's are, in the activations' type, made once a pass: where a device brings weights to that
 * type before it multiplies, a launch for each would cost more than the product. Numbers are those that it would make itself: what computes in
 * another type (a router in f32) reads weights as they are. Experts' grouped products bring theirs themselves.
 */
import { castOp } from '../ops/cast/op.ts'
import type { Node } from '../ops/op.ts'
import type { DType, Tensor } from '../ops/tensor.ts'
import { type Mutable, type Recorder, rootOf } from './recorder.ts'

/** rows or columns up to which a weight is a low-rank one; others are too large to lie beside themselves */
const FEW = 256
/** elements of a row, and where it begins: what copies of tiles want */
const ALIGNED = 8

interface Run {
  root: Tensor
  from: number
  to: number
}

/** Nodes of `lists` read the copies from now on. Returns what makes them, which comes before all others. */
export function workingCopies(r: Recorder, dtype: DType, lists: readonly (readonly Node[])[]): Node[] {
  const computing = lists.flat().filter(({ outputs }) => outputs[0]?.dtype === dtype)
  const reading = computing.flatMap((node) => (node.op.multiplied?.(node) ?? []).map((input) => ({ node, input })))
  const low = reading.filter(({ node, input }) => isLowRank(node.inputs[input]!, dtype))
  const runs = runsOf(low.map(({ node, input }) => node.inputs[input]!))
  const before = r.nodes
  r.nodes = []
  r.block = -1
  const copies = runs.map(({ root, from, to }) => {
    const whole = r.within(root, from, { rows: 1, cols: to - from, dtype: root.dtype }, root.name, false)
    return r.apply(castOp, [whole], { dtype }, root.name)[0]!
  })
  const made = r.nodes
  r.nodes = before
  for (const { node, input } of low) {
    const w = node.inputs[input]!
    const i = runs.findIndex(({ root, from, to }) => root === rootOf(w) && w.offset >= from && w.offset < to)
    const view = r.within(copies[i]!, w.offset - runs[i]!.from, { rows: w.rows, cols: w.cols, dtype }, w.name, false)
    const inputs = node.inputs as Mutable<(Tensor | null)[]>
    inputs[input] = view
  }
  return made
}

/** of the flat range of trained weights, in another type */
function isLowRank(w: Tensor, dtype: DType): boolean {
  const trained = w.space === 'store' && w.root !== undefined && w.needsGrad && w.dtype !== dtype
  return trained && Math.min(w.rows, w.cols) <= FEW && w.stride === w.cols && w.cols % ALIGNED === 0 && w.offset % ALIGNED === 0
}

/** ranges that hold all of them, those that touch or nearly so as one */
function runsOf(weights: readonly Tensor[]): Run[] {
  const runs: Run[] = []
  for (const w of [...new Set(weights)].sort((a, b) => rootOf(a).id - rootOf(b).id || a.offset - b.offset)) {
    const [root, from, to] = [rootOf(w), w.offset, w.offset + w.rows * w.cols]
    const last = runs.at(-1)
    if (last && last.root === root && from - last.to <= FEW) last.to = Math.max(last.to, to)
    else runs.push({ root, from, to })
  }
  return runs
}
