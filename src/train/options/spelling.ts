/** How options are called at a command line: as they were written there, and as flags where they were not given. */
import type { Spelling } from '../../error.ts'
import { camel, type Fields } from './field.ts'
import type { Given } from './resolve.ts'

/** what a program asks for by other names, or by a call */
const ELSEWHERE: Readonly<Record<string, string>> = {
  chatTemplate: 'chatTemplatePath',
  getPeftModel: 'usePeft',
  r: 'loraR',
  bias: 'trainBias',
  targetModules: 'loraTargetModules',
  modulesToSave: 'loraModulesToSave',
  revision: 'modelRevision',
}

/** Names that `fields` don't have stay as programs write them. */
export function spelling(fields: Fields, given: readonly Given[] = []): Spelling {
  const names = new Map(
    Object.keys(fields).map((name) => [camel(name), given.findLast((one) => one.name === name)?.said ?? `--${name}`] as const),
  )
  return (name) => names.get(ELSEWHERE[name] ?? name) ?? name
}
