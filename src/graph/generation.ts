/** A plan that reads T new tokens into the KV caches and gives the logits of some of them. */
import type { Adapter } from '../adapters/adapter.ts'
import type { Model } from '../models/family.ts'
import { gather } from '../ops/gather/op.ts'
import { likeliest } from '../ops/likeliest/op.ts'
import type { DType } from '../ops/tensor.ts'
import { declareCachedInputs } from './inputs.ts'
import { lower, type ScratchOf } from './lower.ts'
import type { Plan } from './plan.ts'
import { prune } from './prune.ts'
import { type CacheMode, GraphTrace, type Layout, TraceRecorder } from './trace.ts'

export interface GenerationSpec {
  model: Model
  adapter: Adapter
  activation: DType
  layout?: Layout
  /** T */
  tokens: number
  /** of how many tokens logits are wanted at the most */
  wanted: number
  cache: CacheMode
  scratch?: ScratchOf
}

export interface GenerationPlan {
  plan: Plan
  recorder: TraceRecorder
  /** the buffers that hold logits (wanted, V), and the likeliest token of each (wanted, 1) i32 */
  logits: string
  likeliest: string
}

/** Inputs: see declareCachedInputs; the tokens whose logits are wanted are the first `headCount` of headPositions. */
export function generationPlan({ model, adapter, cache, ...spec }: GenerationSpec): GenerationPlan {
  const r = new TraceRecorder(spec.activation, spec.layout)
  declareCachedInputs(r, spec.tokens, cache.pages)
  const t = new GraphTrace(r, adapter, spec.tokens, cache)
  const logits = model.logits(t, gather(r, model.forward(t), spec.wanted))
  const ids = likeliest(r, logits)
  const [nodes] = prune([r.nodes], [logits, ids])
  const used = new Set(nodes!.flatMap((n) => [...n.inputs, ...n.outputs]))
  const pinned = [...[...r.inputs.values()].filter((t) => used.has(t)), logits, ids]
  return {
    plan: lower([{ name: 'forward', nodes: nodes! }], { tokens: spec.tokens, pinned, scratch: spec.scratch }),
    recorder: r,
    logits: logits.name,
    likeliest: ids.name,
  }
}
