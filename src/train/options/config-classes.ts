/** `args` of the trainers as objects of their own, as notebooks write them; plain objects do as well. */
import { entriesOf } from '../../hub/arguments.ts'
import type { SFTConfig as SftOptions } from './config.ts'
import { cpoOptions as cpo } from './cpo.ts'
import type { CPOConfig as CpoOptions } from './cpo-config.ts'
import { dpoOptions as dpo } from './dpo.ts'
import type { DPOConfig as DpoOptions } from './dpo-config.ts'
import type { Fields } from './field.ts'
import { ktoOptions as kto } from './kto.ts'
import type { KTOConfig as KtoOptions } from './kto-config.ts'
import { orpoOptions as orpo } from './orpo.ts'
import type { ORPOConfig as OrpoOptions } from './orpo-config.ts'
import { resolveObject } from './resolve.ts'
import { renamed } from './retired.ts'
import { sftTables } from './sft.ts'

type ConfigClass<O> = new (options?: O) => O

/** Options as they were given. @throws SaqrError OPTION_UNKNOWN, OPTION_INVALID, OPTION_REFUSED */
function configClass<O extends object>(name: string, fields: Fields): ConfigClass<O> {
  const config = class {
    constructor(options?: O) {
      const values = Object.fromEntries(entriesOf(options, name))
      resolveObject(fields, values, renamed)
      Object.assign(this, values)
    }
  }
  Object.defineProperty(config, 'name', { value: name })
  return config as unknown as ConfigClass<O>
}

/** Options of an SFTTrainer: TRL’s SFTConfig in camelCase, and what only saqr has. */
export interface SFTConfig extends SftOptions {}
/** `new SFTConfig({ maxSteps: 60 })` */
export const SFTConfig = configClass<SftOptions>('SFTConfig', sftTables.config)

/** Options of a DPOTrainer: TRL’s DPOConfig in camelCase, and what only saqr has. */
export interface DPOConfig extends DpoOptions {}
/** `new DPOConfig({ beta: 0.1 })` */
export const DPOConfig = configClass<DpoOptions>('DPOConfig', dpo.tables.config)

/** Options of an ORPOTrainer: TRL’s ORPOConfig in camelCase, and what only saqr has. */
export interface ORPOConfig extends OrpoOptions {}
/** `new ORPOConfig({ beta: 0.1 })` */
export const ORPOConfig = configClass<OrpoOptions>('ORPOConfig', orpo.tables.config)

/** Options of a KTOTrainer: TRL’s KTOConfig in camelCase, and what only saqr has. */
export interface KTOConfig extends KtoOptions {}
/** `new KTOConfig({ desirableWeight: 1.3 })` */
export const KTOConfig = configClass<KtoOptions>('KTOConfig', kto.tables.config)

/** Options of a CPOTrainer: TRL’s CPOConfig in camelCase, and what only saqr has. */
export interface CPOConfig extends CpoOptions {}
/** `new CPOConfig({ lossType: 'simpo', cpoAlpha: 0 })` */
export const CPOConfig = configClass<CpoOptions>('CPOConfig', cpo.tables.config)
