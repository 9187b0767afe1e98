/**
 * A family, an adapter and a number of tokens become the plans of a training step:
 *   forward [T] · head chunk × ⌈positions / chunk⌉ · backward [T], then once a step the optimiser.
 * Where an objective's weights follow from its scores, the host makes them before backward, or before the head where that is trained itself.
 * `tracePass` says in which order the other files' functions take part.
 */
import type { Adapter } from '../adapters/adapter.ts'
import type { Model } from '../models/family.ts'
import type { Node } from '../ops/op.ts'
import type { DType, Tensor } from '../ops/tensor.ts'
import { chunkOf } from './chunk.ts'
import { differentiate } from './differentiate.ts'
import { firstSweep, type HeadScore, headChunk, trainsHead, type Weighed } from './head.ts'
import { declarePassInputs } from './inputs.ts'
import { joinNodes } from './join.ts'
import { type Lowered, placeSegments, type ScratchOf } from './lower.ts'
import type { Plan } from './plan.ts'
import { prune } from './prune.ts'
import { type Policy, readForward, recompute } from './recompute.ts'
import { sink } from './sink.ts'
import { GraphTrace, type Layout, TraceRecorder } from './trace.ts'
import { workingCopies } from './working-copies.ts'

export interface TrainingSpec {
  model: Model
  adapter: Adapter
  activation: DType
  layout: Layout
  /** T */
  tokens: number
  /** positions of a head chunk; default: `chunkOf` the pass */
  chunk?: number
  score: HeadScore
  /** the model's own term of the loss (`Model.term`): micro-batches that a pass may hold, and whether it is trained towards; default: of one, no */
  term?: { batches: number; trained: boolean }
  /** false: scores only (evaluation) */
  gradients: boolean
  /** NEFTune's alpha: noise on the embeddings; default 0, none */
  noise?: number
  scratch?: ScratchOf
  /** ops that the device has kernels of, where others can stand in for one (`Op.expand`); default: none of those */
  has?: (op: string) => boolean
  /** trained weights of few rows or columns, as an adapter's are, are brought to the activations' type once a pass (working-copies.ts); default: read as they are stored */
  copiesAdapters?: boolean
  /** the device runs kernels beside others (DeviceDescription.overlaps) */
  overlaps?: boolean
}

/** the segment after which weights are known, where an objective's follow from its scores */
export const SCORE = 'score'

/** What a model and its adapter hold, without building a plan: weights to read, parameters to train, constants. */
export function inspect(model: Model, adapter: Adapter, activation: DType): TraceRecorder {
  const r = new TraceRecorder(activation)
  declarePassInputs(r, 1, { width: 0 }, 1)
  const t = new GraphTrace(r, adapter, 1)
  model.logits(t, model.forward(t))
  return r
}

/** A pass traced and differentiated. What blocks keep is chosen after: a search for what fits lowers one trace several times, each choice once. */
export interface TracedPass {
  recorder: TraceRecorder
  lower(policy: (block: number) => Policy): Lowered
}

/** A pass as a device runs it. */
export interface MadePass {
  plan: Plan
  /** by name: the tensors that the host reads */
  results: ReadonlyMap<string, Tensor>
}

export function tracePass(spec: TrainingSpec): TracedPass {
  const r = new TraceRecorder(spec.activation, spec.layout, spec.has)
  declarePassInputs(r, spec.tokens, spec.score, spec.term?.batches ?? 1)
  const t = new GraphTrace(r, spec.adapter, spec.tokens, undefined, '', spec.noise)
  const hidden = spec.model.forward(t)
  const forward = joinNodes(r, take(r))
  const headSpec = { ...spec, chunk: spec.chunk ?? chunkOf(spec, spec.tokens) }
  const scored = spec.gradients && spec.score.later ? firstSweep(r, t, headSpec, hidden) : null
  const weighed: Weighed = scored === null ? 'ahead' : trainsHead(scored) || !hidden.needsGrad ? 'between' : 'after'
  const first = weighed === 'between' ? scored : null
  const { before, chunk, after, dHidden } = headChunk(r, t, headSpec, hidden, weighed)
  if (dHidden) differentiate(r, forward, new Map([[hidden, dHidden], ...termSeed(r, spec)]))
  const backward = [...after, ...take(r)]
  const results = [...r.results.values()]

  const copied = spec.copiesAdapters ? workingCopies(r, spec.activation, [forward, first ?? [], before, chunk, backward]) : []
  const made = readForward(forward)
  const scratch = spec.scratch && remembered(spec.scratch)
  const lowered = new Map<string, Lowered>()
  const lower = (policy: (block: number) => Policy): Lowered => {
    const policies = Array.from({ length: spec.model.layers }, (_, block) => policy(block)).join()
    return lowered.get(policies) ?? lowered.set(policies, lowerAnew(policy)).get(policies)!
  }
  const lowerAnew = (policy: (block: number) => Policy): Lowered => {
    const recomputed = new Set<Node>()
    const kept = recompute(r, made, backward, policy, recomputed)
    const [f, s, b, c, d] = prune([[...copied, ...kept.forward], first ?? [], before, chunk, kept.backward], results)
    const segments = [
      { name: 'forward', nodes: [...f!, ...b!] },
      ...(first ? [{ name: SCORE, nodes: s!, repeats: true }] : []),
      { name: weighed === 'after' ? SCORE : 'head', nodes: c!, repeats: true },
      ...(dHidden ? [{ name: 'backward', nodes: sink(d!) }] : []),
    ]
    const used = new Set<Tensor>()
    for (const { nodes } of segments)
      for (const { inputs, outputs } of nodes)
        for (const list of [inputs, outputs]) for (const t of list) if (t?.space === 'input') used.add(t)
    const pinned = [...r.inputs.values()].filter((t) => used.has(t))
    return placeSegments(segments, { tokens: spec.tokens, pinned: [...pinned, ...results], recomputed, scratch, overlaps: spec.overlaps })
  }
  return { recorder: r, lower }
}

/** A node that reads other tensors than it was traced with, of the same shapes, still has its list of outputs. */
function remembered(scratchOf: ScratchOf): ScratchOf {
  const known = new WeakMap<object, number>()
  return (node) => {
    let bytes = known.get(node.outputs)
    if (bytes === undefined) known.set(node.outputs, (bytes = scratchOf(node)))
    return bytes
  }
}

/** the term's part in the loss's gradient */
function termSeed(r: TraceRecorder, { model, term }: TrainingSpec): [Tensor, Tensor][] {
  const loss = model.term && term?.trained ? r.results.get('term') : undefined
  return loss ? [[loss, r.input('termScale')]] : []
}

function take(r: TraceRecorder): Node[] {
  const nodes = r.nodes
  r.nodes = []
  return nodes
}
