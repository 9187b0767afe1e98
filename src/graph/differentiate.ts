/**
 * Reverse-mode differentiation over recorded nodes. Every op brings its own rule; this walks the nodes backwards, sums what several
 * consumers contribute and asks only where something trainable lies below. Gradients of column views are written straight into their
 * columns of the whole tensor's gradient: halves of a fused product cost no copy.
 */
import { add } from '../ops/add/op.ts'
import { zeros } from '../ops/gather/op.ts'
import type { Node } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { type Mutable, type Recorder, rootOf } from './recorder.ts'

/** What reaches one tensor: contributions to all of it, and to columns of it by the first of them. */
interface Contributions {
  whole: Tensor[]
  columns: Map<number, { cols: number; terms: Tensor[] }>
}

/**
 * Emits into `r.nodes` the backward of `forward`, starting from `seeds`: output -> its gradient. Returns the gradients of `wanted`,
 * tensors that these nodes read (null where nothing flows).
 */
export function differentiate(
  r: Recorder,
  forward: readonly Node[],
  seeds: ReadonlyMap<Tensor, Tensor>,
  wanted: readonly Tensor[] = [],
): (Tensor | null)[] {
  const contributions = new Map<Tensor, Contributions>()
  const results = new Map<Tensor, Tensor | null>()
  const contribute = (to: Tensor, d: Tensor) => {
    const root = rootOf(to)
    let all = contributions.get(root)
    if (!all) contributions.set(root, (all = { whole: [], columns: new Map() }))
    if (to === root) return all.whole.push(d)
    const same = all.columns.get(to.offset)
    if (same && same.cols !== to.cols) throw new Error(`${to.name}: views of ${same.cols} and of ${to.cols} columns begin alike`)
    if (same) same.terms.push(d)
    else all.columns.set(to.offset, { cols: to.cols, terms: [d] })
  }
  const gradientOf = (t: Tensor) => whole(r, t, contributions.get(t))
  for (const [output, d] of seeds) contribute(output, d)

  for (let i = forward.length - 1; i >= 0; i--) {
    const node = forward[i]!
    const reached = node.outputs.some((t) => t.needsGrad && contributions.has(t))
    const rule = reached ? node.op.backward : undefined
    if (!rule && !node.outputs.some((t) => wanted.includes(t))) continue
    r.block = node.block
    const dOutputs = node.outputs.map(gradientOf)
    node.outputs.forEach((t, k) => {
      if (wanted.includes(t)) results.set(t, dOutputs[k]!)
      contributions.delete(t)
    })
    rule?.call(node.op, r, node, dOutputs).forEach((d, k) => {
      const input = node.inputs[k]
      if (d && input?.needsGrad && rootOf(input).space !== 'store') contribute(input, d)
    })
  }
  r.block = -1
  return wanted.map((t) => results.get(t) ?? gradientOf(t))
}

/** The gradient of `t` (rows × cols) from what was contributed to it and to its columns; null where nothing was. */
function whole(r: Recorder, t: Tensor, all: Contributions | undefined): Tensor | null {
  if (!all) return null
  const rest = sum(r, all.whole)
  if (all.columns.size === 0) return rest
  const views = [...all.columns].sort(([a], [b]) => a - b)
  const covered = views.reduce((end, [from, { cols }]) => {
    if (from < end) throw new Error(`${t.name}: views that overlap have no gradient`)
    return from + cols
  }, 0)
  const full = covered === t.cols && views.reduce((n, [, { cols }]) => n + cols, 0) === t.cols
  const d = full ? r.tensor(`${t.name}.d`, t, 'arena') : zeros(r, t)
  for (const [from, { terms }] of views) writeInto(r, sum(r, terms)!, d, from, !full)
  return rest ? sum(r, [d, rest]) : d
}

/** Columns of `d` from `from` on are where `part` lies: its producer writes there, or, where that can't be or zeros come after it, a copy of it. */
function writeInto(r: Recorder, part: Tensor, d: Tensor, from: number, copied: boolean): void {
  const producer = r.producers.get(part)
  const own = !copied && part.space === 'arena' && !part.root && producer?.outputs.includes(part) && r.nodes.includes(producer)
  const view: Mutable<Tensor> = own ? part : copy(r, part)
  Object.assign(view, { root: d, offset: from, stride: d.stride })
}

function copy(r: Recorder, x: Tensor): Tensor {
  const zero = zeros(r, x)
  return add(r, x, zero)
}

/** One tensor for what all consumers contribute: ops that can take another term do so, the rest are added. */
function sum(r: Recorder, terms: readonly Tensor[]): Tensor | null {
  if (terms.length === 0) return null
  const mergers = terms.filter((t) => r.producers.get(t)?.op.mergeSum)
  const rest = terms.filter((t) => !mergers.includes(t))
  let total = mergers[0] ?? rest.shift()!
  for (const t of [...mergers.slice(1), ...rest]) {
    const [node, other] = [r.producers.get(total), r.producers.get(t)]
    total = node?.op.mergeSum?.(r, node, t, other) ?? other?.op.mergeSum?.(r, other, total, node) ?? add(r, total, t, node?.name)
  }
  return total
}
