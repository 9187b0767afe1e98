/** Full fine-tuning: every weight of the checkpoint is a trained f32 tensor. */
import type { LinearShape, Tensor } from '../models/trace.ts'
import { embed } from '../ops/embed/op.ts'
import { product } from '../ops/product/op.ts'
import type { Adapter, AdapterBuilder, Role } from './adapter.ts'

export class Full implements Adapter {
  tensor(b: AdapterBuilder, name: string, rows: number, cols: number, role: Role): Tensor {
    return b.parameter({ name, rows, cols, role, init: { kind: 'checkpoint', name } })
  }

  linear(b: AdapterBuilder, path: string, x: Tensor, shape: LinearShape, tiedTo?: string): Tensor {
    const w = this.tensor(b, `${tiedTo ?? path}.weight`, shape.out, shape.in, tiedTo ? 'embedding' : 'linear')
    const bias = shape.bias ? this.tensor(b, `${path}.bias`, 1, shape.out, 'bias') : null
    return product(b, [{ x, w }], { bias }, path)
  }

  embed(b: AdapterBuilder, path: string, ids: Tensor, { vocab, channels }: { vocab: number; channels: number }): Tensor {
    return embed(b, ids, this.tensor(b, `${path}.weight`, vocab, channels, 'embedding'), b.activation, false, path)
  }
}
