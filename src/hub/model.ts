/** A model by name or path: a folder, a .gguf file, a PEFT adapter folder, or a name on the Hub. */
import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SaqrError } from '../error.ts'
import { isFile, isFolder } from './files.ts'
import { siblings } from './gguf-parts.ts'
import { isObject, readJsonObject } from './json.ts'
import { nearHere, notFound } from './not-found.ts'
import { type HubOptions, homed, hubPlaces } from './places.ts'
import { isRepositoryName, repository } from './repository.ts'
import { openSnapshot, type Snapshot } from './snapshot.ts'

export interface ResolvedModel {
  kind: 'model' | 'adapter' | 'gguf'
  /** folder, or .gguf file */
  path: string
  /** where it came from the Hub */
  id?: string
  commit?: string
  /** worth telling: the Hub could not be asked and the cache was used */
  note?: string
}

export interface ModelOptions extends HubOptions {
  /** called when all but the weights is there (of a .gguf file, which holds both, when that is): what it throws spares their download */
  beforeWeights?: (found: ResolvedModel) => void | Promise<void>
  /** false: they are not needed */
  weights?: boolean
}

/**
 * Finds a model; what comes from the Hub is fetched into the cache first, only the files that are needed. `owner/name/file.gguf`
 * names one file. Errors: FORMAT_NOT_FOUND, FORMAT_NOT_A_MODEL, HUB_… (see openSnapshot), HUB_NO_WEIGHTS.
 */
export async function resolveModel(idOrPath: string, options: ModelOptions = {}): Promise<ResolvedModel> {
  const { beforeWeights = () => {} } = options
  const local = localPath(idOrPath)
  if (local !== undefined) {
    const found: ResolvedModel = { kind: kindOf(local), path: local }
    await beforeWeights(found)
    return found
  }
  const [, name, file] = /^([^/]+\/[^/]+)\/(.+\.gguf)$/i.exec(idOrPath) ?? [undefined, idOrPath, undefined]
  const repo = repository('model', name!, options.revision)
  const snapshot = await withNearPath(name!, openSnapshot(repo, hubPlaces(options), options))
  const found = { id: repo.name, commit: snapshot.commit, note: snapshot.note }
  const gguf = file ?? onlyGguf(snapshot, repo.name)
  if (gguf !== undefined) {
    await snapshot.fetch(siblings(gguf))
    const file: ResolvedModel = { kind: 'gguf', path: join(snapshot.folder, gguf), ...found }
    await beforeWeights(file)
    return file
  }
  await snapshot.fetch(smallFiles(snapshot.files))
  const model: ResolvedModel = { kind: kindOf(snapshot.folder), path: snapshot.folder, ...found }
  await beforeWeights(model)
  if (options.weights ?? true) await snapshot.fetch(weightFiles(snapshot, repo.name))
  return model
}

/** endings of files that are read, or that a user may take for one: no repository is called so */
const fileName = /\.(jsonl?|ndjson|csv|tsv|txt|parquet|arrow|gguf|safetensors|bin|pth?|jinja|ya?ml|zip|gz)$/i

/**
 * An existing path; undefined for what may be a name on the Hub (owner/name, or owner/name/file.gguf).
 * @throws SaqrError FORMAT_NOT_FOUND for what is a path by its looks: `x.jsonl`, `./x`, `~/x`, `/x`, `a/b/c`
 */
export function localPath(idOrPath: string): string | undefined {
  const path = homed(idOrPath)
  if (isFolder(path) || isFile(path)) return resolve(path)
  const [owner, name, ...file] = idOrPath.split('/')
  // a folder of that name here makes it a path in it
  const hubFile = file.length > 0 && /\.gguf$/i.test(idOrPath) && isRepositoryName(`${owner}/${name}`) && !isFolder(owner!)
  if (hubFile || (isRepositoryName(idOrPath) && !fileName.test(idOrPath))) return undefined
  throw notFound(path)
}

/** What the Hub can't give may have been meant as a path: the nearest one here is named. */
export async function withNearPath<T>(idOrPath: string, ask: Promise<T>): Promise<T> {
  try {
    return await ask
  } catch (error) {
    const close = error instanceof SaqrError && /^HUB_(NOT_FOUND|NOT_CACHED|OFFLINE)$/.test(error.code) ? nearHere(idOrPath) : undefined
    if (close === undefined) throw error
    const { code, message } = error as SaqrError
    throw new SaqrError(code, `${message} There is no ${idOrPath} here either; did you mean ${close}?`, { cause: error })
  }
}

/** Told by what is there: an adapter has adapter_config.json. */
function kindOf(path: string): ResolvedModel['kind'] {
  if (isFile(path)) {
    if (path.toLowerCase().endsWith('.gguf')) return 'gguf'
    throw new SaqrError('FORMAT_NOT_A_MODEL', `${path} is neither a model folder nor a .gguf file.`)
  }
  if (isFile(join(path, 'adapter_config.json'))) return 'adapter'
  if (isFile(join(path, 'config.json'))) return 'model'
  const below = modelsBelow(path)
  const hint = below.length > 0 ? ` There ${below.length > 1 ? 'are models' : 'is a model'} below it: ${below.slice(-3).join(', ')}.` : ''
  throw new SaqrError('FORMAT_NOT_A_MODEL', `${path} has neither config.json nor adapter_config.json, so it is no model folder.${hint}`)
}

/** folders in it that are models, the newest checkpoint last */
function modelsBelow(path: string): string[] {
  const isModel = (folder: string) => ['adapter_config.json', 'config.json'].some((name) => isFile(join(folder, name)))
  const folders = isFolder(path) ? readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()) : []
  const names = folders.map(({ name }) => name).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  return names.map((name) => join(path, name)).filter(isModel)
}

const wanted = new Set(
  (
    'config.json generation_config.json tokenizer.json tokenizer_config.json special_tokens_map.json chat_template.jinja chat_template.json ' +
    'tiktoken.model model.safetensors.index.json adapter_config.json saqr.json'
  ).split(' '),
)

function smallFiles(files: ReadonlySet<string>): string[] {
  // a single file makes an index beside it meaningless
  const skip = [
    ...(files.has('model.safetensors') ? ['model.safetensors.index.json'] : []),
    ...(files.has('tokenizer.json') ? ['tiktoken.model'] : []),
  ]
  return [...files].filter((path) => (wanted.has(path) && !skip.includes(path)) || /^additional_chat_templates\/[^/]+\.jinja$/.test(path))
}

/** Safetensors only: of the adapter, of the single file, or of the shards that the index (already fetched) names. */
function weightFiles({ files, folder }: Snapshot, name: string): string[] {
  if (files.has('adapter_config.json')) {
    if (files.has('adapter_model.safetensors')) return ['adapter_model.safetensors']
    throw noWeights(name, 'no adapter_model.safetensors')
  }
  if (files.has('model.safetensors')) return ['model.safetensors']
  if (files.has('model.safetensors.index.json')) {
    const { weight_map: map } = readJsonObject(join(folder, 'model.safetensors.index.json'))
    if (isObject(map)) return [...new Set(Object.values(map).filter((shard) => typeof shard === 'string'))]
    throw noWeights(name, 'an index without "weight_map"')
  }
  const pickle = [...files].find((path) => /\.(bin|pth|pt)$/.test(path))
  throw noWeights(
    name,
    pickle ? `its weights in ${pickle}, a pickle; convert it to safetensors in Python` : 'no safetensors and no GGUF file',
  )
}

/** A repository of GGUF files and nothing else: one is taken, of several one must be named. */
function onlyGguf({ files }: Snapshot, name: string): string | undefined {
  const gguf = [...files].filter((path) => path.toLowerCase().endsWith('.gguf'))
  if (gguf.length === 0 || [...files].some((path) => path.endsWith('.safetensors'))) return undefined
  const models = gguf.filter((path) => siblings(path)[0] === path)
  if (models.length === 1) return models[0]
  const named = models.length > 0 ? models : gguf
  throw new SaqrError(
    'HUB_NO_WEIGHTS',
    `${name} has ${gguf.length} GGUF files. Name one, for example ${name}/${named[0]}; there are ${named.slice(0, 12).join(', ')}${named.length > 12 ? ' …' : ''}.`,
  )
}

function noWeights(name: string, what: string): SaqrError {
  return new SaqrError('HUB_NO_WEIGHTS', `${name} can't be used: it has ${what}.`)
}
