/** Dropout where a tensor gets a low-rank part as a whole (`target_parameters`). */
import { option, SaqrError, say } from '../error.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import { isParameter } from './match.ts'

/**
 * The first of these tensors that has no input of its own for dropout to act on: PEFT adds B·A to it before it is used. Linears of single experts
 * have one, though theirs lie in such a tensor here.
 */
export function withoutInput(config: AdapterConfig, names: Iterable<string>): string | undefined {
  if (config.loraDropout === 0) return undefined
  return [...names].find((name) => isParameter(config, name) && !config.single?.tensors.includes(name))
}

/** @throws SaqrError OPTION_UNSUPPORTED */
export function checkDropout(config: AdapterConfig, names: Iterable<string>): void {
  const name = withoutInput(config, names)
  if (name === undefined) return
  throw new SaqrError(
    'OPTION_UNSUPPORTED',
    say`${option('loraDropout')} is ${config.loraDropout}, and ${name} is a tensor that gets a low-rank part as a whole, where PEFT has no dropout: set it to 0, or leave experts and routers out of the targets`,
  )
}
