/**
 * Records a family's forward for one pass: the `Trace` that families speak, written in ops. What a weight is comes from the adapter;
 * how tokens attend (to each other, or to a KV cache) from the mode.
 */
import type { Adapter, AdapterBuilder, ParameterSpec } from '../adapters/adapter.ts'
import type { EmbeddingShape, ExpertsShape, LinearShape, RouterShape, Seen, Trace } from '../models/trace.ts'
import { add } from '../ops/add/op.ts'
import type { AttrSpecs, Given } from '../ops/attrs.ts'
import { cacheWrite } from '../ops/cache-write/op.ts'
import type { Dispatch } from '../ops/dispatch/op.ts'
import { noise } from '../ops/noise/op.ts'
import type { Op } from '../ops/op.ts'
import type { DType, Tensor } from '../ops/tensor.ts'
import { Recorder } from './recorder.ts'

/** Tensors by name that lie across passes: what the engine must put into the store. */
export interface WeightSpec {
  name: string
  rows: number
  cols: number
  dtype: DType
  /** only some rows of it are read at a time */
  sparse?: boolean
  /** that one of its values is no number would show in nothing that is computed: it is looked at when it is read */
  finite?: boolean
}

/** Where each trained tensor lies in the flat range; `layout.ts` makes it. */
export interface Layout {
  /** prefix of its store tensors, so that several adapters can lie beside each other */
  scope: string
  size: number
  entries: ReadonlyMap<string, { offset: number; spec: ParameterSpec }>
}

export class TraceRecorder extends Recorder implements AdapterBuilder {
  readonly activation: DType
  readonly weights = new Map<string, WeightSpec>()
  readonly parameters = new Map<string, ParameterSpec>()
  /** small constant tables: RoPE frequencies … */
  readonly constants: Map<string, Float32Array> = new Map()
  /** by name: keys and values of a pass's own tokens, of which a cache would hold as much for each */
  readonly attended = new Map<string, Pick<WeightSpec, 'cols' | 'dtype'>>()
  /** by name: what a family kept of its blocks */
  readonly kept = new Map<string, Tensor[]>()
  /** by name: what the host reads */
  readonly results = new Map<string, Tensor>()
  readonly #layout: Layout | undefined
  readonly #has: (op: string) => boolean

  /** without a layout (a first trace that only asks what there is) parameters have no place yet; `has`: ops the device has kernels of */
  constructor(activation: DType, layout?: Layout, has: (op: string) => boolean = () => false) {
    super()
    this.activation = activation
    this.#layout = layout
    this.#has = has
  }

  protected override takes(op: string): boolean {
    return this.#has(op)
  }

  weight(name: string, rows: number, cols: number, dtype: DType = this.activation, finite?: boolean): Tensor {
    return this.once(name, () => {
      this.weights.set(name, { name, rows, cols, dtype, ...(finite ? { finite } : {}) })
      return this.tensor(name, { rows, cols, dtype }, 'store')
    })
  }

  parameter(spec: ParameterSpec): Tensor {
    return this.once(`parameter ${spec.name}`, () => {
      this.parameters.set(spec.name, spec)
      const { rows, cols, name } = spec
      const offset = this.#layout?.entries.get(name)?.offset ?? 0
      const view = (root: string, needsGrad: boolean) =>
        this.within(this.flat(root), offset, { rows, cols, dtype: 'f32' }, `${root}.${name}`, needsGrad)
      const parameter = view('parameters', true)
      this.setGradient(parameter, view('gradients', false))
      return parameter
    })
  }

  /** a whole flat range of the trained tensors: parameters, gradients */
  flat(name: string, dtype: DType = 'f32', cols = this.#layout?.size ?? 0): Tensor {
    const stored = (this.#layout?.scope ?? '') + name
    return this.once(stored, () => this.tensor(stored, { rows: 1, cols, dtype }, 'store'))
  }

  /** keys or values of `rows` tokens */
  cache(name: string, rows: number, cols: number, dtype: DType): Tensor {
    return this.once(name, () => this.tensor(name, { rows, cols, dtype }, 'store'))
  }

  constant(name: string, values: readonly number[]): Tensor {
    return this.once(name, () => {
      this.constants.set(name, Float32Array.from(values))
      return this.tensor(name, { rows: 1, cols: values.length, dtype: 'f32' }, 'store')
    })
  }
}

/** KV caches of `pages` pages of `page` tokens in the store; inputs say where a pass's tokens go (`slot`) and what they see (`pages`). */
export interface CacheMode {
  pages: number
  page: number
  /** prefix of the caches' names, so that several conversations can go on at once */
  scope: string
}

export class GraphTrace implements Trace {
  readonly tokens: number
  readonly #r: TraceRecorder
  readonly #adapter: Adapter
  readonly #prefix: string
  readonly #cache: CacheMode | undefined
  /** noise on what the first block reads */
  readonly #noise: number

  constructor(r: TraceRecorder, adapter: Adapter, tokens: number, cache?: CacheMode, prefix = '', noise = 0) {
    this.#r = r
    this.#adapter = adapter
    this.tokens = tokens
    this.#cache = cache
    this.#prefix = prefix
    this.#noise = noise
  }

  get activation(): DType {
    return this.#r.activation
  }

  /** nodes are named by the block they stand in */
  apply<A extends AttrSpecs>(op: Op<A>, inputs: readonly (Tensor | null)[], attrs: Given<A>, name = op.name): Tensor[] {
    return this.#r.apply(op, inputs, attrs, this.#prefix + name)
  }

  columns(x: Tensor, from: number, cols: number): Tensor {
    return this.#r.columns(x, from, cols)
  }

  gradientOf(parameter: Tensor): Tensor {
    return this.#r.gradientOf(parameter)
  }

  input(name: string): Tensor {
    return this.#r.input(name)
  }

  embed(path: string, shape: EmbeddingShape): Tensor {
    return this.#adapter.embed(this.#r, this.#prefix + path, this.#r.input('ids'), shape)
  }

  linear(path: string, x: Tensor, shape: LinearShape): Tensor {
    return this.#adapter.linear(this.#r, this.#prefix + path, x, shape)
  }

  router(path: string, x: Tensor, shape: RouterShape): Tensor {
    return this.#adapter.router(this.#r, this.#prefix + path, x, shape)
  }

  experts(name: string, x: Tensor, slots: Dispatch, shape: ExpertsShape): Tensor {
    return this.#adapter.experts(this.#r, this.#prefix + name, x, slots, shape)
  }

  buffer(path: string, size: number): Tensor {
    return this.#r.weight(this.#prefix + path, 1, size, 'f32', true)
  }

  normWeight(path: string, size: number): Tensor {
    return this.#adapter.tensor(this.#r, `${this.#prefix}${path}.weight`, 1, size, 'norm')
  }

  sinks(path: string, heads: number): Tensor {
    return this.#adapter.tensor(this.#r, this.#prefix + path, 1, heads, 'sinks')
  }

  blocks(path: string, count: number, x: Tensor, body: (t: Trace, x: Tensor, index: number) => Tensor): Tensor {
    if (this.#noise > 0) x = noise(this.#r, x, this.#noise, this.#prefix + path)
    for (let i = 0; i < count; i++) {
      this.#r.block = i
      x = body(new GraphTrace(this.#r, this.#adapter, this.tokens, this.#cache, `${this.#prefix}${path}.${i}.`), x, i)
    }
    this.#r.block = -1
    return x
  }

  add(a: Tensor, b: Tensor): Tensor {
    const node = this.#r.producers.get(b)
    return node?.op.mergeSum?.(this.#r, node, a, undefined) ?? add(this.#r, a, b)
  }

  seen(k: Tensor, v: Tensor): Seen {
    if (!this.#cache) {
      for (const [which, { cols, dtype }] of Object.entries({ k, v })) this.#r.attended.set(`${this.#prefix}${which}`, { cols, dtype })
      return { k, v, pages: null }
    }
    const { pages, page, scope } = this.#cache
    const cached = (x: Tensor, which: string) => {
      const cache = this.#r.cache(`${scope}${this.#prefix}${which}`, pages * page, x.cols, x.dtype)
      return cacheWrite(this.#r, x, this.#r.input('slot'), cache, `${this.#prefix}attention`)
    }
    return { k: cached(k, 'k'), v: cached(v, 'v'), pages: { position: this.#r.input('position'), pages: this.#r.input('pages'), page } }
  }

  constant(name: string, values: readonly number[]): Tensor {
    return this.#r.constant(name, values)
  }

  get rows(): Tensor | null {
    return this.#r.inputs.get('batchRows') ?? null
  }

  keep(name: string, tensor: Tensor): void {
    this.#r.kept.set(name, [...this.kept(name), tensor])
  }

  kept(name: string): readonly Tensor[] {
    return this.#r.kept.get(name) ?? []
  }

  result(name: string, tensor: Tensor): void {
    this.#r.results.set(name, tensor)
  }

  once(name: string, make: () => Tensor): Tensor {
    return this.#r.once(name, () => {
      const block = this.#r.block
      this.#r.block = -1
      const made = make()
      this.#r.block = block
      return made
    })
  }
}
