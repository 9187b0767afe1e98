/**
 * The head only where there is a target: a chunk of positions is gathered, its logits become scores of their entries and, in the same sweep,
 * the gradient of the loss; then the chunk's dh goes back to its rows. The segment runs once a chunk, moved on by its own cursor.
 * Where weights follow from the scores, dh of each position is made as if its one entry weighed 1, and weighed when the weights are known: it is
 * linear in them. Where the head itself is trained, whose own gradient wants the weights, a segment that only scores runs before it: its product
 * is made twice, the rest of the model once.
 */

import type { Trace } from '../models/trace.ts'
import { advance, gather, gatherOp, inOrder, scatter, weightedScatter, zeros } from '../ops/gather/op.ts'
import type { Builder, Node } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { differentiate } from './differentiate.ts'
import type { Mutable } from './recorder.ts'
import type { TraceRecorder } from './trace.ts'
import type { TrainingSpec } from './training.ts'

/** What an objective makes of a chunk's logits (chunk, V). */
export interface HeadScore {
  /** numbers of an entry in the pass's `scores` (T, width) f32 */
  readonly width: number
  /** numbers of a head position in the pass's `stats` (T, stats) f32; default: none */
  readonly stats?: number
  /** entries' weights follow from all scores of the pass, whose positions have an entry each; default: they are known ahead */
  readonly later?: boolean
  /**
   * Writes the chunk's part of `scores`, and, where `first` says that no sweep went before, of `stats`. Returns dLogits (chunk, V) where
   * `gradients` are wanted, else null.
   */
  apply(b: Builder, logits: Tensor, gradients: boolean, first: boolean): Tensor | null
}

/** When an entry's weight is known: before the pass, after its scores, or after a sweep that only scored. */
export type Weighed = 'ahead' | 'after' | 'between'

export interface HeadNodes {
  /** run once, before the first chunk */
  before: Node[]
  chunk: Node[]
  /** run once, when all chunks have and weights are known */
  after: Node[]
  /** the loss's gradient at the hidden state (T, C); null where nothing below the head is trained or no gradient is wanted */
  dHidden: Tensor | null
}

/** The nodes of a chunk that is scored alone, with a cursor of its own. */
export function firstSweep(r: TraceRecorder, t: Trace, spec: TrainingSpec & { chunk: number }, hidden: Tensor): Node[] {
  const cursor = r.input('cursor')
  r.inputs.set('cursor', r.input('firstCursor'))
  const { chunk } = headChunk(r, t, { ...spec, gradients: false }, hidden)
  r.inputs.set('cursor', cursor)
  return chunk
}

/** Does a chunk, scored alone, read anything that is trained, beside the hidden state? */
export function trainsHead(nodes: readonly Node[]): boolean {
  const made = new Set(nodes.flatMap(({ outputs }) => outputs))
  return nodes.some(({ op, inputs }) => op !== gatherOp && inputs.some((t) => t?.needsGrad && !made.has(t)))
}

export function headChunk(
  r: TraceRecorder,
  t: Trace,
  spec: TrainingSpec & { chunk: number },
  hidden: Tensor,
  weighed: Weighed = 'ahead',
): HeadNodes {
  const later = weighed !== 'ahead'
  /** by row of the pass; where weights come later, of which a row may have several, by head position */
  const gradient = spec.gradients && hidden.needsGrad ? zeros(r, hidden) : null
  const before = r.nodes
  r.nodes = []

  const restore = redirect(r, ['row', 'depth'], spec.chunk)
  const h: Mutable<Tensor> = gather(r, hidden, spec.chunk) // (chunk, C)
  h.needsGrad = hidden.needsGrad // its gradient goes back by the scatter below, not by a rule of gather's
  const logits = spec.model.logits(t, h) // (chunk, V)
  restore()
  const forward = r.nodes
  r.nodes = []
  const dLogits = spec.score.apply(r, logits, spec.gradients, weighed !== 'between')
  const [dH] = dLogits && logits.needsGrad ? differentiate(r, forward, new Map([[logits, dLogits]]), [h]) : []
  if (dH && gradient) (later ? inOrder : scatter)(r, dH, gradient)
  advance(r, spec.chunk)
  const chunk = [...forward, ...r.nodes]
  r.nodes = []
  const dHidden = gradient && later ? weightedScatter(r, gradient, weighed === 'after') : gradient
  const after = r.nodes
  r.nodes = []
  return { before, chunk, after, dHidden }
}

/** Per-token inputs are those of the chunk's positions while the head is recorded (dropout draws by row and depth). */
function redirect(r: TraceRecorder, names: readonly string[], chunk: number): () => void {
  const whole = names.map((name) => r.input(name))
  const set = (tensors: readonly Tensor[]) => {
    for (const [i, name] of names.entries()) r.inputs.set(name, tensors[i]!)
  }
  set(whole.map((t) => gather(r, t, chunk)))
  return () => set(whole)
}
