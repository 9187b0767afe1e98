/** The checkpoint's weights as they are, frozen; its linears quantised to NF4 on request (QLoRA's base). */
import type { LinearShape } from '../models/trace.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { AdapterBuilder, Role } from './adapter.ts'
import { Direct } from './direct.ts'

export interface BaseOptions {
  /** 4-bit NormalFloat (Dettmers et al. 2023) for every linear except the head, as bitsandbytes does */
  nf4: boolean
  /** the module that bitsandbytes leaves alone */
  head: string
  /** path of the embedding whose weight the head reads */
  tiedTo?: string
}

export class Base extends Direct {
  readonly label = 'nothing'
  readonly options: BaseOptions

  constructor(options: BaseOptions) {
    super()
    this.options = options
  }

  tensor(b: AdapterBuilder, name: string, rows: number, cols: number, _role: Role): Tensor {
    return b.weight(name, rows, cols)
  }

  override linearWeight(b: AdapterBuilder, path: string, shape: LinearShape): Tensor {
    const quantised = this.options.nf4 && path !== this.options.head
    return quantised ? b.weight(`${path}.weight`, shape.out, shape.in, 'nf4') : super.linearWeight(b, path, shape)
  }

  merge(): null {
    return null
  }
}
