/**
 * Messages of the library name options as programs write them (maxLength); on the command line they are named as the user wrote them
 * (`--max_length`, `--max-length`, `max_length in run.yaml`), and as flags where they were not given.
 */
import { camel, type Fields } from '../train/options/field.ts'
import type { Given } from '../train/options/resolve.ts'

/**
 * Only names in camelCase are looked for: columns, keys of files and TRL's own words are written otherwise. Words of one part (packing, seed)
 * are left alone: they are no names but English, and the same in every spelling.
 */
export function spelling(fields: Fields, given: readonly Given[]): (text: string) => string {
  const names = new Map(
    Object.keys(fields)
      .filter((name) => name.includes('_'))
      .map((name) => [camel(name), given.findLast((one) => one.name === name)?.said ?? `--${name}`]),
  )
  // what stands in quotes or in a path is no option
  return (text) => text.replace(/(?<![\w./\\'"?&=-])[a-z]+[A-Z]\w*(?![\w/\\'"=]|\.\w)/g, (word) => names.get(word) ?? word)
}
