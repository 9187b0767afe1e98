/** `args` of the SFTTrainer as an object of its own, as notebooks write it; a plain object does as well. */
import { entriesOf } from '../../hub/arguments.ts'
import type { SFTConfig as Options } from './config.ts'
import { resolveObject } from './resolve.ts'
import { renamed } from './retired.ts'
import { argsFields } from './trainer-init.ts'

export type SFTConfig = Options

/**
 * `new SFTConfig({ maxSteps: 60 })`: the options as they were given.
 * @throws SaqrError OPTION_UNKNOWN, OPTION_INVALID, OPTION_REFUSED
 */
export const SFTConfig: new (options?: Options) => Options = class {
  constructor(options?: Options) {
    const values = Object.fromEntries(entriesOf(options, 'SFTConfig'))
    resolveObject(argsFields, values, renamed)
    Object.assign(this, values)
  }
}
