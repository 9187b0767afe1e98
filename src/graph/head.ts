/**
 * The head only where there is a target: a chunk of positions is gathered, its logits become scores of their entries and, in the same sweep,
 * the gradient of the loss; then the chunk's dh goes back to its rows. The segment runs once a chunk, moved on by its own cursor. Where weights
 * follow from the scores, a segment that only scores runs before it: the head's product is made twice, the rest of the model once.
 */

import type { Trace } from '../models/trace.ts'
import { advance, gather, scatter, zeros } from '../ops/gather/op.ts'
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
  /** entries' weights follow from all scores of the pass: it is scored without gradients first, then again with them; default: they are known ahead */
  readonly later?: boolean
  /** Writes the chunk's part of `scores`. Returns dLogits (chunk, V) where `gradients` are wanted, else null. */
  apply(b: Builder, logits: Tensor, gradients: boolean): Tensor | null
}

export interface HeadNodes {
  /** run once, before the first chunk */
  before: Node[]
  chunk: Node[]
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

export function headChunk(r: TraceRecorder, t: Trace, spec: TrainingSpec & { chunk: number }, hidden: Tensor): HeadNodes {
  const dHidden = spec.gradients && hidden.needsGrad ? zeros(r, hidden) : null
  const before = r.nodes
  r.nodes = []

  const restore = redirect(r, ['row', 'depth'], spec.chunk)
  const h: Mutable<Tensor> = gather(r, hidden, spec.chunk) // (chunk, C)
  h.needsGrad = hidden.needsGrad // its gradient goes back by the scatter below, not by a rule of gather's
  const logits = spec.model.logits(t, h) // (chunk, V)
  restore()
  const forward = r.nodes
  r.nodes = []
  const dLogits = spec.score.apply(r, logits, spec.gradients)
  const [dH] = dLogits && logits.needsGrad ? differentiate(r, forward, new Map([[logits, dLogits]]), [h]) : []
  if (dH && dHidden) scatter(r, dH, dHidden)
  advance(r, spec.chunk)
  const chunk = [...forward, ...r.nodes]
  r.nodes = []
  return { before, chunk, dHidden }
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
