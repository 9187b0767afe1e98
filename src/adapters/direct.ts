/** A linear that is one product, an embedding that is one table: the base as it is, or all of it trained. What the weights are is said below. */
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { EmbeddingShape, ExpertsShape, LinearShape, RouterShape } from '../models/trace.ts'
import { add } from '../ops/add/op.ts'
import type { Dispatch } from '../ops/dispatch/op.ts'
import { embed } from '../ops/embed/op.ts'
import { groupedProduct } from '../ops/grouped-product/op.ts'
import { type Part, product } from '../ops/product/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Adapter, AdapterBuilder, BaseTensor, Role, Trained } from './adapter.ts'

export abstract class Direct implements Adapter {
  abstract readonly label: string
  readonly config: AdapterConfig | null = null
  readonly random: string | null = null

  abstract tensor(b: AdapterBuilder, name: string, rows: number, cols: number, role: Role): Tensor

  abstract merge(name: string, base: BaseTensor, trained: (name: string) => Trained | null): Float32Array | null

  /** (out, in); a tied one is the embedding's */
  linearWeight(b: AdapterBuilder, path: string, shape: LinearShape): Tensor {
    return this.tensor(b, `${shape.tiedTo ?? path}.weight`, shape.out, shape.in, shape.tiedTo ? 'embedding' : 'linear')
  }

  linear(b: AdapterBuilder, path: string, x: Tensor, shape: LinearShape): Tensor {
    const bias = shape.bias ? this.tensor(b, `${path}.bias`, 1, shape.out, 'bias') : null
    return product(b, [{ x, w: this.linearWeight(b, path, shape) }], { bias }, path)
  }

  router(b: AdapterBuilder, path: string, x: Tensor, { experts, bias }: RouterShape): Tensor {
    const own = bias ? this.tensor(b, `${path}.bias`, 1, experts, 'bias') : null
    return product(b, [{ x, w: this.tensor(b, `${path}.weight`, experts, x.cols, 'router') }], { bias: own }, path)
  }

  expertsWeight(b: AdapterBuilder, name: string, shape: ExpertsShape): Tensor {
    const { rows, cols } = expertsMatrix(shape)
    return this.tensor(b, name, rows, cols, 'experts')
  }

  /** as the weights that are read lie, whichever way the model has them */
  asTheyLie(_name: string, shape: ExpertsShape): ExpertsShape {
    return shape
  }

  experts(b: AdapterBuilder, name: string, x: Tensor, { offsets }: Dispatch, given: ExpertsShape): Tensor {
    const shape = this.asTheyLie(name, given)
    return expertsProduct(this, b, name, offsets, [{ x, w: this.expertsWeight(b, name, shape) }], shape)
  }

  embed(b: AdapterBuilder, path: string, ids: Tensor, { vocab, channels, padding }: EmbeddingShape): Tensor {
    return embed(b, ids, this.tensor(b, `${path}.weight`, vocab, channels, 'embedding'), { dtype: b.activation, padding }, path)
  }
}

/** one below the other: (experts · in, out) where they are turned, else (experts · out, in) */
export function expertsMatrix({ experts, in: from, out, turned }: ExpertsShape): { rows: number; cols: number } {
  return turned ? { rows: experts * from, cols: out } : { rows: experts * out, cols: from }
}

/** y (M, out) of parts that lie as `shape` says, and of the experts' biases: matrices of one row, the turned ones, so beside those they are a part too */
export function expertsProduct(
  adapter: Pick<Adapter, 'tensor'>,
  b: AdapterBuilder,
  name: string,
  offsets: Tensor,
  parts: readonly Part[],
  { experts, out, bias, turned: trans = false }: ExpertsShape,
): Tensor {
  const biases = bias ? [{ x: bias, w: adapter.tensor(b, `${name}_bias`, experts, out, 'bias') }] : []
  if (trans || biases.length === 0) return groupedProduct(b, offsets, [...parts, ...biases], { trans }, name)
  return add(
    b,
    groupedProduct(b, offsets, parts, { trans }, name),
    groupedProduct(b, offsets, biases, { trans: true }, `${name}_bias`),
    name,
  )
}
