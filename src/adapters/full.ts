/** Full fine-tuning: every weight of the checkpoint is a trained f32 tensor. */
import type { Tensor } from '../ops/tensor.ts'
import type { AdapterBuilder, BaseTensor, Role, Trained } from './adapter.ts'
import { Direct } from './direct.ts'

export class Full extends Direct {
  readonly label = 'all weights'

  tensor(b: AdapterBuilder, name: string, rows: number, cols: number, role: Role): Tensor {
    return b.parameter({ name, rows, cols, role, init: { kind: 'checkpoint', name } })
  }

  merge(name: string, _base: BaseTensor, trained: (name: string) => Trained | null): Float32Array | null {
    return trained(name)?.values ?? null
  }
}
