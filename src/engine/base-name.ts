/** What a model was made of, as the Hub calls it. */
import { sep } from 'node:path'
import { exists } from '../hub/files.ts'
import { isRepositoryName } from '../hub/repository.ts'
import type { LanguageModel } from './language-model.ts'

/** owner/name; null: its base came from a folder, or a file. */
export function hubIdOf({ adapter, opened, run }: LanguageModel): string | null {
  const named = adapter.config?.baseModelNameOrPath ?? null
  if (named !== null && /^[^/]+\/[^/]+$/.test(named) && isRepositoryName(named) && !exists(named)) return named
  // a snapshot in the cache: models--owner--name/snapshots/…
  const folder = opened.checkpoint.path.split(sep).find((part, i, all) => part.startsWith('models--') && all[i + 1] === 'snapshots')
  if (folder !== undefined) return folder.split('--').slice(1).join('/')
  return named === null || exists(named) ? (run?.base ?? null) : null
}
