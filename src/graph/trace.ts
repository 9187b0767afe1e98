/**
 * Records a family's forward for one pass: the `Trace` that families speak, written in ops. What a weight is comes from the adapter;
 * how tokens attend (to each other, or to a KV cache) from the mode.
 */
import type { Adapter, AdapterBuilder, ParameterSpec } from '../adapters/adapter.ts'
import type { LinearShape, RopeTable, Trace } from '../models/trace.ts'
import { add } from '../ops/add/op.ts'
import type { AttentionShape } from '../ops/attention/op.ts'
import { attention } from '../ops/attention/op.ts'
import { cacheWrite } from '../ops/cache-write/op.ts'
import { hash32 } from '../ops/dropout/op.ts'
import type { NormOptions } from '../ops/rms-norm/op.ts'
import { addRmsNorm, rmsNorm } from '../ops/rms-norm/op.ts'
import { rope, ropeTable } from '../ops/rope/op.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import type { DType, Tensor } from '../ops/tensor.ts'
import { Recorder } from './recorder.ts'

/** Tensors by name that lie across passes: what the engine must put into the store. */
export interface WeightSpec {
  name: string
  rows: number
  cols: number
  dtype: DType
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
  readonly constants = new Map<string, Float32Array>()
  readonly caches: WeightSpec[] = []
  readonly #layout: Layout | undefined

  /** without a layout (a first trace that only asks what there is) parameters have no place yet */
  constructor(activation: DType, layout?: Layout) {
    super()
    this.activation = activation
    this.#layout = layout
  }

  weight(name: string, rows: number, cols: number, dtype: DType = this.activation): Tensor {
    return this.once(name, () => {
      this.weights.set(name, { name, rows, cols, dtype })
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
    return this.once(name, () => {
      this.caches.push({ name, rows, cols, dtype })
      return this.tensor(name, { rows, cols, dtype }, 'store')
    })
  }

  constant(name: string, values: readonly number[]): Tensor {
    return this.once(name, () => {
      this.constants.set(name, Float32Array.from(values))
      return this.tensor(name, { rows: 1, cols: values.length, dtype: 'f32' }, 'store')
    })
  }
}

/** KV caches of `size` tokens in the store; row 0 of a pass is token `queryStart` of them. */
export interface CacheMode {
  size: number
  /** prefix of the caches' names, so that several conversations can go on at once */
  scope: string
}

export class GraphTrace implements Trace {
  readonly tokens: number
  readonly #r: TraceRecorder
  readonly #adapter: Adapter
  readonly #prefix: string
  readonly #cache: CacheMode | undefined

  constructor(r: TraceRecorder, adapter: Adapter, tokens: number, cache?: CacheMode, prefix = '') {
    this.#r = r
    this.#adapter = adapter
    this.tokens = tokens
    this.#cache = cache
    this.#prefix = prefix
  }

  #path(path: string): string {
    return this.#prefix + path
  }

  embed(path: string, shape: { vocab: number; channels: number }): Tensor {
    return this.#adapter.embed(this.#r, this.#path(path), this.#r.input('ids'), shape)
  }

  blocks(path: string, count: number, x: Tensor, body: (t: Trace, x: Tensor, index: number) => Tensor): Tensor {
    for (let i = 0; i < count; i++) {
      this.#r.block = i
      x = body(new GraphTrace(this.#r, this.#adapter, this.tokens, this.#cache, `${this.#path(path)}.${i}.`), x, i)
    }
    this.#r.block = -1
    return x
  }

  #norm(path: string, x: Tensor, o: NormOptions): Tensor {
    return this.#adapter.tensor(this.#r, `${this.#path(path)}.weight`, 1, o.group ?? x.cols, 'norm')
  }

  rmsNorm(path: string, x: Tensor, options: NormOptions): Tensor {
    return rmsNorm(this.#r, x, this.#norm(path, x, options), options, this.#path(path))
  }

  addRmsNorm(path: string, x: Tensor, delta: Tensor, options: NormOptions): { h: Tensor; y: Tensor } {
    return addRmsNorm(this.#r, x, delta, this.#norm(path, x, options), options, this.#path(path))
  }

  /** a sum rides in the product that makes one of its terms where it can */
  add(a: Tensor, b: Tensor): Tensor {
    const node = this.#r.producers.get(b)
    return node?.op.mergeSum?.(this.#r, node, a, undefined) ?? add(this.#r, a, b)
  }

  linear(path: string, x: Tensor, shape: LinearShape): Tensor {
    return this.#adapter.linear(this.#r, this.#path(path), x, shape)
  }

  rope(x: Tensor, headDim: number, table: RopeTable): Tensor {
    const angles = this.#angles(table)
    return rope(this.#r, x, angles, headDim, table.interleaved, `${this.#prefix}rope`)
  }

  /** made once a pass, outside the blocks */
  #angles(table: RopeTable): Tensor {
    const key = `rope.${hash32(JSON.stringify(table)).toString(16)}`
    return this.#r.once(`${key}.angles`, () => {
      const block = this.#r.block
      this.#r.block = -1
      const angles = ropeTable(this.#r, this.#r.input('position'), this.#r.constant(key, table.invFreq), table.attentionFactor)
      this.#r.block = block
      return angles
    })
  }

  attention(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape): Tensor {
    const name = `${this.#prefix}attention`
    if (!this.#cache) return attention(this.#r, q, k, v, shape, name)
    const start = this.#r.input('queryStart')
    const cached = (x: Tensor, which: string) => {
      const cache = this.#r.cache(`${this.#cache!.scope}${this.#prefix}${which}`, this.#cache!.size, x.cols, x.dtype)
      return cacheWrite(this.#r, x, start, cache, name)
    }
    return attention(this.#r, q, cached(k, 'k'), cached(v, 'v'), shape, name, start)
  }

  swiglu(gate: Tensor, up: Tensor): Tensor {
    return swiglu(this.#r, gate, up, `${this.#prefix}swiglu`)
  }
}
