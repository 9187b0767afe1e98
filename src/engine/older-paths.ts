/**
 * What an adapter's options mean that were written over other paths of the same modules (`Composite.older`): names, expressions and keys of patterns are
 * read over the paths of then, since only there a tail, an expression or an escaped key means what it meant, and what they mean is said in today's.
 */
import { isAllLinear, isNamed, isParameter, isSaved, matches } from '../adapters/match.ts'
import { SaqrError } from '../error.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import { isMeant } from '../formats/peft/scale.ts'
import type { Model } from '../models/family.ts'
import { parametersOf } from './settle.ts'

type Composite = NonNullable<Model['composite']>

/** One module or tensor, by its path today and then. */
interface Place {
  now: string
  was: string
}

const literal = (path: string) => path.replaceAll('.', String.raw`\.`)

/**
 * @param inFile paths of modules that its file has a low-rank part of, as they stand there; null: there is no file yet, and names tell which they are
 * @throws SaqrError FORMAT_ADAPTER for a key of a pattern that means modules by paths of another age than its file's alone
 */
export function byTodaysPaths(config: AdapterConfig, model: Model, inFile: readonly string[] | null): AdapterConfig {
  const composite = model.composite!
  const { head } = model
  const names = [...parametersOf(model).values()].map(({ name }) => placeOf(name, composite))
  const there = (inFile ?? []).map((path) => ({ now: composite.renamed(path), was: path }))
  const modules = new Map(names.map(({ now, was }) => [pathOf(now), { now: pathOf(now), was: pathOf(was) }]))
  const others = there.map((place) => (place.now === place.was ? placeOf(place.now, composite) : place))
  for (const place of [placeOf(head.path, composite), ...others]) modules.set(place.now, place)
  const all = [...modules.values()]
  const isOlder = inFile ? there.some(({ now, was }) => now !== was) : seemsOlder(config, all)
  if (inFile) checkKeys(config, all, isOlder)
  if (!isOlder) return config
  const { targetModules, targetParameters, modulesToSave, excludeModules, trainableTokenIndices: tokens } = config
  const alone = { ...config, excludeModules: null }
  const isTarget = (modules: string | string[]) => (path: string) =>
    isNamed({ ...alone, targetModules: modules }, path, { role: 'linear', head: head.path })
  const list = (given: readonly string[], places: readonly Place[], means: (name: string) => (path: string) => boolean) => [
    ...new Set(given.flatMap((name) => asToday(places, means(name)) ?? [name])),
  ]
  return {
    ...config,
    targetModules: Array.isArray(targetModules)
      ? list(targetModules, all, (name) => isTarget([name]))
      : isAllLinear(targetModules)
        ? targetModules
        : (asToday(all, isTarget(targetModules)) ?? targetModules),
    targetParameters:
      targetParameters && list(targetParameters, names, (name) => (path) => isParameter({ targetParameters: [name] }, path)),
    modulesToSave: modulesToSave && list(modulesToSave, all, (name) => (path) => isSaved([name], path)),
    excludeModules: Array.isArray(excludeModules)
      ? list(excludeModules, all, (name) => (path) => matches([name], path))
      : excludeModules && excluded(excludeModules, all, there, composite),
    trainableTokenIndices:
      tokens && !Array.isArray(tokens)
        ? Object.fromEntries(
            Object.entries(tokens).flatMap(([name, ids]) =>
              list([name], all, () => (path) => matches([name], path)).map((path) => [path, ids]),
            ),
          )
        : tokens,
    rankPattern: pattern(config, 'rankPattern', all),
    alphaPattern: pattern(config, 'alphaPattern', all),
  }
}

const pathOf = (name: string) => name.replace(/\.(weight|bias)$/, '')
const placeOf = (now: string, { older }: Composite): Place => ({ now, was: older(now) })

/** Today's paths of what was meant; null where the same words mean it today too, or meant nothing then. */
function asToday(places: readonly Place[], means: (path: string) => boolean): string[] | null {
  const meant = places.filter(({ was }) => means(was))
  if (meant.length === 0 || places.every(({ now, was }) => means(now) === means(was))) return null
  return meant.map(({ now }) => now)
}

/** An expression that kept the adapter out of modules; of those beside the text model its file knows none where it kept out of them all. */
function excluded(given: string, all: readonly Place[], there: readonly Place[], { beside }: Composite): string | string[] {
  const isBeside = ({ now }: Place) => beside.some((path) => now.startsWith(`${path}.`))
  if (there.some(isBeside)) return asToday(all, (path) => matches(given, path)) ?? given
  const paths = all.filter(({ was }) => matches(given, was)).map(({ now }) => literal(now))
  return [String.raw`(${beside.map(literal).join('|')})\..*`, ...paths].join('|')
}

/** As it is where it means the same today; else a key for each module that one meant. */
function pattern(config: AdapterConfig, field: 'rankPattern' | 'alphaPattern', all: readonly Place[]): Record<string, number> {
  const given = config[field]
  const keyOf = (path: string) => Object.keys(given).find((key) => isMeant(key, path, field))
  if (all.every(({ now, was }) => keyOf(now) === keyOf(was))) return given
  return Object.fromEntries(
    all.flatMap(({ now, was }) => {
      const key = keyOf(was)
      return key === undefined ? [] : [[literal(now), given[key]!] as const]
    }),
  )
}

/** A key that meant nothing where the adapter was trained would be a scale that nobody gave it, or one that is lost. */
function checkKeys(config: AdapterConfig, all: readonly Place[], isOlder: boolean): void {
  const [own, other] = isOlder ? (['was', 'now'] as const) : (['now', 'was'] as const)
  for (const [field, said] of [
    ['rankPattern', 'rank_pattern'],
    ['alphaPattern', 'alpha_pattern'],
  ] as const)
    for (const key of Object.keys(config[field])) {
      if (all.some((place) => isMeant(key, place[own], field))) continue
      const place = all.find((place) => isMeant(key, place[other], field))
      if (place)
        throw new SaqrError(
          'FORMAT_ADAPTER',
          `${said} has the key ${key}, which means ${place[other]}, and the adapter's file has that as ${place[own]}: give keys by the paths that the file has`,
        )
    }
}

/** Where there are names alone: one that means nothing today, and meant something then. */
function seemsOlder(config: AdapterConfig, all: readonly Place[]): boolean {
  const { targetModules, excludeModules, modulesToSave, rankPattern, alphaPattern } = config
  const only = (means: (path: string) => boolean) => all.some(({ was }) => means(was)) && !all.some(({ now }) => means(now))
  const lists = [targetModules, excludeModules ?? []].flatMap((given): (string | string[])[] =>
    Array.isArray(given) ? given.map((name) => [name]) : [given],
  )
  return (
    lists.some((modules) => only((path) => matches(modules, path))) ||
    (modulesToSave ?? []).some((name) => only((path) => isSaved([name], path))) ||
    Object.keys(rankPattern).some((key) => only((path) => isMeant(key, path, 'rankPattern'))) ||
    Object.keys(alphaPattern).some((key) => only((path) => isMeant(key, path, 'alphaPattern')))
  )
}
