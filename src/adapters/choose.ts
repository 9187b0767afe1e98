/** Which adapter a model is opened with. */

import type { AdapterConfig } from '../formats/peft/config.ts'
import type { Adapter } from './adapter.ts'
import { Base, type BaseOptions } from './base.ts'
import { Full } from './full.ts'
import { Lora } from './lora.ts'

export type AdapterSpec = { kind: 'none' } | { kind: 'full' } | { kind: 'lora'; config: AdapterConfig }

/** `training`: dropout draws; off for evaluation and generation */
export function chooseAdapter(spec: AdapterSpec, base: BaseOptions, training: boolean): Adapter {
  switch (spec.kind) {
    case 'none':
      return new Base(base)
    case 'full':
      return new Full()
    case 'lora':
      return new Lora(new Base(base), spec.config, training)
  }
}
