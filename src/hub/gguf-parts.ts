/** Names of a GGUF model in several files: NAME-00001-of-00003.gguf and so on, as llama.cpp parts it. */

export const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i
const number = (n: number) => String(n).padStart(5, '0')

/** the files of a model of this name in so many parts; of one the name itself */
export function partPaths(path: string, count: number): string[] {
  if (count === 1) return [path]
  const stem = path.replace(/\.gguf$/i, '')
  return Array.from({ length: count }, (_, i) => `${stem}-${number(i + 1)}-of-${number(count)}.gguf`)
}

/** of a part's name the names of all; of any other itself */
export function siblings(path: string): string[] {
  const [, stem, , count] = PART.exec(path) ?? []
  return stem === undefined || Number(count) === 0 ? [path] : partPaths(`${stem}.gguf`, Number(count))
}
