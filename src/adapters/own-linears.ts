/**
 * Adapters over a mixture whose files have low-rank parts of dense and shared MLPs by names that PEFT 0.21 takes for experts alone (up_proj): with
 * transformers 4, where each expert's linears were modules too, such a name meant all of them. PEFT 0.21 leaves those parts unread, without a word;
 * here the file says what is meant. Each such linear becomes a target parameter, the form in which PEFT 0.21 reads it.
 */
import type { AdapterConfig } from '../formats/peft/config.ts'
import { alphaOf, rankOf } from '../formats/peft/scale.ts'
import type { Model } from '../models/family.ts'
import type { ParameterSpec } from './adapter.ts'
import { isNamed, isParameter, matches } from './match.ts'

const pathOf = (name: string) => name.replace(/\.weight$/, '')
const last = (path: string) => path.slice(path.lastIndexOf('.') + 1)
const literal = (name: string) => name.replaceAll('.', String.raw`\.`)

/** @param all tensors of the model */
export function settleOwn(
  given: AdapterConfig,
  model: Pick<Model, 'experts' | 'head' | 'pieces'>,
  all: () => readonly ParameterSpec[],
): AdapterConfig {
  const { inFile, ...config } = given
  const { experts, head } = model
  // a bias beside such a part is of a module, which none of these is then
  if (!inFile || !experts || config.bias !== 'none') return config
  const { targetModules } = config
  const tensors = all()
  const named = new Set(inFile.filter((path) => isNamed(config, path, { role: 'linear', head: head.path })))
  const older = Object.keys(experts.parameters)
  const own = tensors.flatMap(({ name, role }) => {
    const path = pathOf(name)
    return role === 'linear' && named.has(path) && older.includes(last(path)) ? [path] : []
  })
  // what files call each expert's linears, and routers
  const pieces = tensors.flatMap(({ name, role }) => {
    const names = role === 'experts' || role === 'router' ? [name, ...(model.pieces?.(name).flat() ?? [])] : []
    return names.map(pathOf).filter((path) => named.has(path))
  })
  if (own.length === 0 && (typeof targetModules !== 'string' || pieces.length === 0)) return config
  const meansOwn = (target: string) => own.some((path) => matches([target], path)) && !pieces.some((path) => matches([target], path))
  const patterns = { rankPattern: { ...config.rankPattern }, alphaPattern: { ...config.alphaPattern } }
  for (const path of own) {
    const standing = { ...config, ...patterns }
    const [name, r, alpha] = [`${path}.weight`, rankOf(config, path), alphaOf(config, path)]
    // before theirs: the first that matches counts
    if (rankOf(standing, name) !== r) patterns.rankPattern = { [literal(name)]: r, ...patterns.rankPattern }
    if (alphaOf(standing, name) !== alpha) patterns.alphaPattern = { [literal(name)]: alpha, ...patterns.alphaPattern }
  }
  return {
    ...config,
    ...patterns,
    targetModules:
      typeof targetModules === 'string'
        ? [...new Set([...[...named].filter((path) => !own.includes(path) && !pieces.includes(path)), ...pieces.map(last)])]
        : targetModules.filter((target) => !meansOwn(target)),
    targetParameters: [...new Set([...(config.targetParameters ?? []), ...parametersFor(own, tensors)])].sort(),
  }
}

/** Their tensors: by what they are called in every block where that means no others, else in full. */
function parametersFor(own: readonly string[], tensors: readonly ParameterSpec[]): string[] {
  const names = new Set(own.map((path) => `${path}.weight`))
  return [...names].map((name) => {
    const kind = name.replace(/^.*?\.\d+\./, '')
    return tensors.every((t) => names.has(t.name) || !isParameter({ targetParameters: [kind] }, t.name)) ? kind : name
  })
}
