/**
 * The order of a run's files: those that take long first, so that none is left alone at the end while a processor idles. Vitest's own order knows what
 * files took the last time, and on a clean clone their sizes alone, which say little.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * @param names of files below test/, the longest first
 * @throws Error where one is not there
 */
export function longestFirst(names: readonly string[]): typeof BaseSequencer {
  const paths = names.map((name) => join(import.meta.dirname, name))
  const gone = paths.filter((path) => !existsSync(path))
  if (gone.length > 0) throw new Error(`files of tests that are said to take long are not there: ${gone.join(', ')}`)
  const place = new Map(paths.map((path, i) => [path, i]))
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      const sorted = await super.sort(files)
      const placeOf = ({ moduleId }: TestSpecification) => place.get(moduleId) ?? names.length
      return sorted.sort((a, b) => placeOf(a) - placeOf(b))
    }
  }
}
