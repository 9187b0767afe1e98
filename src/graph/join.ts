/**
 * Nodes of one x with weights that lie behind one another become one node, their results columns of one tensor (`widen` of an op): x is read
 * once for the low-rank parts of several linears, forward and, by what differentiation makes of it, backward.
 */
import type { Node } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Recorder } from './recorder.ts'

/** A node that may be joined with others, and what it is made of. */
interface Candidate {
  node: Node
  x: Tensor
  w: Tensor
  alike: string
}

/** Joined nodes stand where the first of them stood. Tensors that consumers hold become views, and columns of those are columns of the joined one. */
export function joinNodes(r: Recorder, forward: readonly Node[]): Node[] {
  const byInput = new Map<Tensor, Map<string, Candidate[]>>()
  for (const node of forward) {
    const candidate = candidateOf(node)
    if (!candidate) continue
    const { x } = candidate
    const alike = byInput.get(x) ?? byInput.set(x, new Map()).get(x)!
    const key = `${node.op.name} ${node.block} ${candidate.alike}`
    const list = alike.get(key)
    if (list) list.push(candidate)
    else alike.set(key, [candidate])
  }
  const instead = new Map<Node, Node | null>()
  for (const alike of byInput.values()) for (const list of alike.values()) for (const run of runsOf(list)) join(r, run, forward, instead)
  return forward.flatMap((node) => (instead.has(node) ? (instead.get(node) ?? []) : [node]))
}

/** of a trained weight in the flat range */
function candidateOf(node: Node): Candidate | null {
  const found = node.op.widen?.of(node)
  if (!found || node.outputs[0]!.root) return null
  const { w } = found
  return w.root && w.space === 'store' && w.needsGrad && w.stride === w.cols ? { node, ...found } : null
}

/** candidates whose weights follow one another without a gap, two at least */
function runsOf(list: readonly Candidate[]): Candidate[][] {
  const runs: Candidate[][] = []
  for (const one of [...list].sort((a, b) => a.w.offset - b.w.offset)) {
    const before = runs.at(-1)?.at(-1)?.w
    if (before && before.root === one.w.root && before.offset + before.rows * before.cols === one.w.offset) runs.at(-1)!.push(one)
    else runs.push([one])
  }
  return runs.filter((run) => run.length > 1)
}

function join(r: Recorder, run: readonly Candidate[], forward: readonly Node[], instead: Map<Node, Node | null>): void {
  const first = forward.find((node) => run.some((one) => one.node === node))!
  const rows = run.reduce((sum, { w }) => sum + w.rows, 0)
  const { w } = run[0]!
  const together = (t: Tensor, needsGrad: boolean) => r.within(t.root!, t.offset, { rows, cols: t.cols, dtype: t.dtype }, t.name, needsGrad)
  const joined = together(w, true)
  r.setGradient(joined, together(r.gradientOf(w), false))
  const y = r.tensor(first.outputs[0]!.name, { ...first.outputs[0]!, cols: rows }, 'arena', true)
  const node: Node = { ...first, inputs: first.op.widen!.inputs(first, joined), outputs: [y] }
  let offset = 0
  for (const one of run) {
    r.moveInto(y, one.node.outputs[0]!, offset)
    offset += one.w.rows
    instead.set(one.node, null)
  }
  instead.set(first, node)
  r.producers.set(y, node)
}
