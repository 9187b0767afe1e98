/** A linear that is one product, an embedding that is one table: the base as it is, or all of it trained. What the weights are is said below. */
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { EmbeddingShape, ExpertsShape, LinearShape } from '../models/trace.ts'
import { embed } from '../ops/embed/op.ts'
import { groupedProduct } from '../ops/grouped-product/op.ts'
import { product } from '../ops/product/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Adapter, AdapterBuilder, BaseTensor, Role } from './adapter.ts'

export abstract class Direct implements Adapter {
  abstract readonly label: string
  readonly config: AdapterConfig | null = null
  readonly random: string | null = null

  abstract tensor(b: AdapterBuilder, name: string, rows: number, cols: number, role: Role): Tensor

  abstract merge(name: string, base: BaseTensor, trained: (name: string) => Float32Array | null): Float32Array | null

  /** (out, in); a tied one is the embedding's */
  linearWeight(b: AdapterBuilder, path: string, shape: LinearShape): Tensor {
    return this.tensor(b, `${shape.tiedTo ?? path}.weight`, shape.out, shape.in, shape.tiedTo ? 'embedding' : 'linear')
  }

  linear(b: AdapterBuilder, path: string, x: Tensor, shape: LinearShape): Tensor {
    const bias = shape.bias ? this.tensor(b, `${path}.bias`, 1, shape.out, 'bias') : null
    return product(b, [{ x, w: this.linearWeight(b, path, shape) }], { bias }, path)
  }

  router(b: AdapterBuilder, path: string, x: Tensor, experts: number): Tensor {
    return product(b, [{ x, w: this.tensor(b, `${path}.weight`, experts, x.cols, 'router') }], {}, path)
  }

  /** (experts · out, in) */
  expertsWeight(b: AdapterBuilder, name: string, shape: ExpertsShape): Tensor {
    return this.tensor(b, name, shape.experts * shape.out, shape.in, 'experts')
  }

  experts(b: AdapterBuilder, name: string, x: Tensor, offsets: Tensor, shape: ExpertsShape): Tensor {
    return groupedProduct(b, offsets, [{ x, w: this.expertsWeight(b, name, shape) }], {}, name)
  }

  embed(b: AdapterBuilder, path: string, ids: Tensor, { vocab, channels, padding }: EmbeddingShape): Tensor {
    return embed(b, ids, this.tensor(b, `${path}.weight`, vocab, channels, 'embedding'), { dtype: b.activation, padding }, path)
  }
}
