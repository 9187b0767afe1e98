/** Records nodes in order: the Builder that families, adapters and backward rules write into. */
import { SaqrError } from '../error.ts'
import { type AttrSpecs, complete, type Given } from '../ops/attrs.ts'
import type { Builder, Node, Op, TensorSpec } from '../ops/op.ts'
import type { DType, Tensor } from '../ops/tensor.ts'

export type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** the tensor whose memory this one reads */
export function rootOf(t: Tensor): Tensor {
  return t.root ?? t
}

export class Recorder implements Builder {
  /** where nodes go now; a pass may point it elsewhere for a while */
  nodes: Node[] = []
  /** block the nodes belong to, −1 outside */
  block = -1
  /** line of the memory table that new tensors belong to */
  kind = 'activations'
  readonly inputs = new Map<string, Tensor>()
  readonly producers = new Map<Tensor, Node>()
  readonly kinds = new Map<Tensor, string>()
  /** whether an op that others can stand in for is taken as it is */
  protected takes(_op: string): boolean {
    return true
  }
  #gradients = new Map<Tensor, Tensor>()
  #named = new Map<string, Tensor>()
  /** columns, by the tensor whose memory they read */
  #views = new Map<Tensor, Tensor[]>()
  #nextId = 0

  tensor(name: string, spec: TensorSpec, space: Tensor['space'], needsGrad = false): Tensor {
    const t: Tensor = {
      id: this.#nextId++,
      name,
      rows: spec.rows,
      cols: spec.cols,
      stride: spec.cols,
      dtype: spec.dtype,
      space,
      root: undefined,
      offset: 0,
      needsGrad,
    }
    this.kinds.set(t, this.kind)
    return t
  }

  apply<A extends AttrSpecs>(op: Op<A>, inputs: readonly (Tensor | null)[], given: Given<A>, name = op.name): Tensor[] {
    const attrs = complete(op, given)
    if (op.expand && !this.takes(op.name)) return op.expand(this, inputs, attrs, name)
    const why = op.refuses?.(attrs)
    if (why) throw new SaqrError('MODEL_UNSUPPORTED', `${name}: ${why}`)
    const needsGrad = op.backward !== undefined && inputs.some((t) => t?.needsGrad)
    const outputs = op.outputs(inputs, attrs).map((spec, i) => {
      return spec.into ?? this.tensor(`${name}.${op.name}${i || ''}`, spec, spec.onHost ? 'host' : 'arena', needsGrad)
    })
    const node = { op, inputs, outputs, attrs, name, block: this.block } as Node
    this.nodes.push(node)
    for (const t of outputs) if (!this.producers.has(t)) this.producers.set(t, node)
    return outputs
  }

  columns(x: Tensor, from: number, cols: number): Tensor {
    const root = rootOf(x)
    const view: Tensor = { ...x, id: this.#nextId++, root, offset: x.offset + from, cols }
    const others = this.#views.get(root)
    if (others) others.push(view)
    else this.#views.set(root, [view])
    return view
  }

  /** From now on `t`, and all that is columns of it, is columns of `root`. */
  moveInto(root: Tensor, t: Tensor, offset: number): void {
    const views = this.#views.get(t) ?? []
    for (const view of [t, ...views] as Mutable<Tensor>[]) Object.assign(view, { root, offset: view.offset + offset, stride: root.stride })
    this.producers.delete(t)
    this.#views.delete(t)
    this.#views.set(root, [...(this.#views.get(root) ?? []), t, ...views])
  }

  /** part of a flat store tensor seen as rows × cols */
  within(root: Tensor, offset: number, spec: TensorSpec, name: string, needsGrad: boolean): Tensor {
    return { ...root, ...spec, id: this.#nextId++, name, root, offset, stride: spec.cols, needsGrad }
  }

  input(name: string): Tensor {
    const t = this.inputs.get(name)
    if (!t) throw new Error(`no pass input named '${name}'`)
    return t
  }

  declareInput(name: string, rows: number, dtype: DType, cols = 1): Tensor {
    const t = this.tensor(name, { rows, cols, dtype }, 'input')
    this.kinds.set(t, 'inputs')
    this.inputs.set(name, t)
    return t
  }

  /** one tensor by this key for every use */
  once(key: string, make: () => Tensor): Tensor {
    let t = this.#named.get(key)
    if (!t) this.#named.set(key, (t = make()))
    return t
  }

  setGradient(parameter: Tensor, accumulator: Tensor): void {
    this.#gradients.set(parameter, accumulator)
  }

  gradientOf(parameter: Tensor): Tensor {
    const d = this.#gradients.get(parameter)
    if (!d) throw new Error(`${parameter.name} is not trainable`)
    return d
  }
}
