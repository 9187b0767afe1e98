/** The files of a data set by name or path: a file, a folder, or a name on the Hub, by the rules of Hugging Face's `datasets`. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { isFile } from './files.ts'
import { globMatcher } from './glob.ts'
import { isObject, readText } from './json.ts'
import { isPattern, matching } from './matching.ts'
import { localPath, withNearPath } from './model.ts'
import { type HubOptions, hubPlaces } from './places.ts'
import { repository } from './repository.ts'
import { openSnapshot } from './snapshot.ts'

export interface DatasetOptions extends HubOptions {
  /** configuration ("subset") of the data set; default: the one marked default, else the only one */
  config?: string
  /** default train */
  split?: string
}

export interface ResolvedDataset {
  /** in order: .parquet, .jsonl, .json, .csv or .tsv, also .gz */
  files: string[]
  id?: string
  commit?: string
  note?: string
}

const readable = /\.(parquet|jsonl|ndjson|json|csv|tsv)(\.gz)?$/i

/** Is it a file of rows, by its name? */
export const isReadable = (path: string): boolean => readable.test(path)

/** Errors: FORMAT_NOT_FOUND, DATA_FILES (which files or splits there are), HUB_… (see openSnapshot). */
export async function resolveDataset(idOrPath: string, options: DatasetOptions = {}): Promise<ResolvedDataset> {
  if (isPattern(idOrPath)) {
    refuseConfig(idOrPath, options.config)
    return { files: matching(idOrPath, isReadable) }
  }
  const local = localPath(idOrPath)
  if (local !== undefined) {
    if (isFile(local)) {
      refuseConfig(idOrPath, options.config)
      return { files: [local] }
    }
    const names = readdirSync(local, { recursive: true, withFileTypes: false }).map((name) => String(name).replaceAll('\\', '/'))
    const card = names.includes('README.md') ? readText(join(local, 'README.md')) : ''
    return { files: (await choose(new Set(names), card, idOrPath, options)).map((name) => join(local, name)) }
  }
  const repo = repository('dataset', idOrPath, options.revision)
  const snapshot = await withNearPath(idOrPath, openSnapshot(repo, hubPlaces(options), options))
  let card = ''
  if (snapshot.files.has('README.md')) {
    await snapshot.fetch(['README.md'])
    card = readText(join(snapshot.folder, 'README.md'))
  }
  const names = await choose(snapshot.files, card, idOrPath, options)
  await snapshot.fetch(names)
  return { files: names.map((name) => join(snapshot.folder, name)), id: repo.name, commit: snapshot.commit, note: snapshot.note }
}

/** @throws SaqrError DATA_FILES: a file is one data set */
export function refuseConfig(file: string, config: string | undefined): void {
  if (config !== undefined) throw bad(file, `is a file and has no configurations, so there is no ${config}`)
}

/** What the card says counts; else the names of files and folders. */
async function choose(
  all: ReadonlySet<string>,
  card: string,
  name: string,
  { config, split = 'train' }: DatasetOptions,
): Promise<string[]> {
  const files = [...all].filter((path) => readable.test(path) && !/(^|\/)[._]/.test(path)).sort()
  const configs = await cardConfigs(card, name)
  const splits = configs.length > 0 ? declaredSplits(pickConfig(configs, config, name), files) : splitsByName(files)
  if (configs.length === 0 && config !== undefined) throw bad(name, `has no configurations, so there is no ${config}`)
  if (splits.size === 0) throw bad(name, `has no .parquet, .jsonl, .ndjson, .json, .csv or .tsv file; ${held([...all])}`)
  const found = splits.get(split)
  if (!found || found.length === 0) throw bad(name, `has no split ${split}; there are ${[...splits.keys()].join(', ')}`)
  return found
}

interface Config {
  name: string
  isDefault: boolean
  /** patterns by split */
  patterns: Map<string, string[]>
}

/** `configs` of the YAML at the top of README.md. */
async function cardConfigs(card: string, name: string): Promise<Config[]> {
  const [, yaml] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card) ?? []
  if (yaml === undefined) return []
  const { parse } = await import('yaml')
  let meta: unknown
  try {
    meta = parse(yaml, { logLevel: 'error' })
  } catch (cause) {
    throw bad(name, `has a README.md whose YAML can't be read (${(cause as Error).message})`)
  }
  if (!isObject(meta) || !Array.isArray(meta.configs)) return []
  return meta.configs.filter(isObject).flatMap((config) => {
    const patterns = patternsBySplit(config.data_files)
    return patterns.size > 0 ? [{ name: String(config.config_name ?? 'default'), isDefault: config.default === true, patterns }] : []
  })
}

/** A pattern, a list of patterns, or a list of { split, path }. */
function patternsBySplit(value: unknown): Map<string, string[]> {
  const strings = (v: unknown): string[] => (Array.isArray(v) ? v : [v]).filter((s) => typeof s === 'string')
  if (Array.isArray(value) && value.some(isObject)) {
    return new Map(value.filter(isObject).map((entry) => [String(entry.split ?? 'train'), strings(entry.path)]))
  }
  if (isObject(value)) return new Map(Object.entries(value).map(([split, paths]) => [split, strings(paths)]))
  return strings(value).length > 0 ? new Map([['train', strings(value)]]) : new Map()
}

function pickConfig(configs: Config[], wanted: string | undefined, name: string): Config {
  const only = configs.length === 1 ? configs[0] : undefined
  const found =
    wanted === undefined
      ? (configs.find((c) => c.isDefault) ?? configs.find((c) => c.name === 'default') ?? only)
      : configs.find((c) => c.name === wanted)
  if (found) return found
  const names = configs.map((c) => c.name)
  throw bad(
    name,
    `${wanted === undefined ? 'has several configurations; choose one of' : `has no configuration ${wanted}; there are`} ${names.slice(0, 20).join(', ')}${names.length > 20 ? ' …' : ''}`,
  )
}

function declaredSplits({ patterns }: Config, files: string[]): Map<string, string[]> {
  return new Map([...patterns].map(([split, globs]) => [split, files.filter((path) => globs.some((glob) => globMatcher(glob)(path)))]))
}

/** The words that name a split between separators in a path, as `datasets` has them; no such word anywhere: all is train. */
const words: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'dev', 'val'],
  test: ['test', 'testing', 'eval', 'evaluation'],
}

function splitsByName(files: string[]): Map<string, string[]> {
  const splits = new Map<string, string[]>()
  for (const [split, keys] of Object.entries(words)) {
    const pattern = new RegExp(`(^|[-._ 0-9/])(${keys.join('|')})([-._ 0-9/]|$)`)
    const found = files.filter((path) => pattern.test(path))
    if (found.length > 0) splits.set(split, found)
  }
  if (splits.size === 0 && files.length > 0) splits.set('train', files)
  return splits
}

function held(names: string[]): string {
  if (names.length === 0) return 'it is empty'
  return `it holds ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
}

function bad(name: string, what: string): SaqrError {
  return new SaqrError('DATA_FILES', `The data set ${name} ${what}.`)
}
