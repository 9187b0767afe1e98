/** The checkpoint as it is: frozen, in the activation dtype or, for the linears of the blocks, in NF4 (QLoRA's base). */
import type { LinearShape, Tensor } from '../models/trace.ts'
import { embed } from '../ops/embed/op.ts'
import { product } from '../ops/product/op.ts'
import type { Adapter, AdapterBuilder, Role } from './adapter.ts'

export interface BaseOptions {
  /** 4-bit NormalFloat (Dettmers et al. 2023) for every linear except the head, as bitsandbytes does */
  nf4: boolean
  /** the module that bitsandbytes leaves alone */
  head: string
}

export class Base implements Adapter {
  readonly options: BaseOptions

  constructor(options: BaseOptions) {
    this.options = options
  }

  tensor(b: AdapterBuilder, name: string, rows: number, cols: number, _role: Role): Tensor {
    return b.weight(name, rows, cols)
  }

  /** (out, in) */
  linearWeight(b: AdapterBuilder, path: string, shape: LinearShape): Tensor {
    const quantised = this.options.nf4 && path !== this.options.head
    return b.weight(`${path}.weight`, shape.out, shape.in, quantised ? 'nf4' : undefined)
  }

  linear(b: AdapterBuilder, path: string, x: Tensor, shape: LinearShape, tiedTo?: string): Tensor {
    const w = tiedTo ? this.tensor(b, `${tiedTo}.weight`, shape.out, shape.in, 'embedding') : this.linearWeight(b, path, shape)
    const bias = shape.bias ? this.tensor(b, `${path}.bias`, 1, shape.out, 'bias') : null
    return product(b, [{ x, w }], { bias }, path)
  }

  embed(b: AdapterBuilder, path: string, ids: Tensor, { vocab, channels }: { vocab: number; channels: number }): Tensor {
    return embed(b, ids, this.tensor(b, `${path}.weight`, vocab, channels, 'embedding'), b.activation, false, path)
  }
}
