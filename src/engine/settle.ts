/**
 * What a checkpoint's files and its config.json mean together, decided once as transformers' from_pretrained does: tensors under the names
 * the family gives them, and whether the head and the embedding are one weight. Everybody reads the result.
 */
import type { ParameterSpec } from '../adapters/adapter.ts'
import { Full } from '../adapters/full.ts'
import { SaqrError } from '../error.ts'
import { hasWeights } from '../formats/checkpoint.ts'
import { joinAcross, joinTensors } from '../formats/joined.ts'
import { withKeys } from '../formats/json-exact.ts'
import { asF32 } from '../formats/numbers.ts'
import type { Checkpoint, CheckpointTensor } from '../formats/tensor.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { inspect } from '../graph/training.ts'
import { openCheckpoint, readConfig } from '../models/checkpoint.ts'
import type { Model } from '../models/family.ts'
import { openConfig } from '../models/registry.ts'

export interface Settled {
  /** the model's tensors and no others; config.tie_word_embeddings is what holds */
  checkpoint: Checkpoint
  model: Model
  /** worth telling */
  notes: string[]
}

/** base_model_prefix of causal models in transformers: what stands before every path but the head's */
const PREFIX = 'model.'

/** Older files keep these constants; transformers makes them itself and says nothing either. */
const IGNORED = /\.rotary_emb\.inv_freq$/

/** weights of two tensors compared at once */
const CHUNK = 1 << 21

/** Errors: MODEL_CONFIG, MODEL_UNSUPPORTED, MODEL_WEIGHT. */
export function settle(given: Checkpoint): Settled {
  const model = modelOf(given.config)
  const parameters = parametersOf(model)
  const wanted = weightNames(model)
  const tensors = named(given, model, new Set([...wanted, ...piecesOf(model, wanted), `${model.head.path}.weight`]))
  joinPieces(given.path, model, parameters, tensors)
  joinApart(given.path, model, parameters, tensors)
  const notes: string[] = []
  const note = given.config.quantization_config && quantisationNote([...given.tensors.values()])
  if (note) notes.push(`${given.path}: ${note}`)
  const parted = settleHead(given.path, model, tensors)
  if (parted) notes.push(parted)
  const config = parted ? withKeys(given.config, { tie_word_embeddings: false }) : given.config
  const settled = parted ? modelOf(config) : model
  const used = parted ? weightNames(settled) : wanted
  const unused = [...tensors.keys()].filter((name) => !used.has(name) && !isBeside(model, name))
  checkStacks(given.path, model, parameters, tensors)
  checkPath(given.path, model, tensors)
  for (const name of unused) tensors.delete(name)
  const told = unused.filter((name) => !IGNORED.test(name))
  if (told.length > 0) notes.push(notUsed(given.path, model.family, told))
  return { checkpoint: withTensors(given, config, tensors), model: settled, notes }
}

/** by its config.json: what is settled is settled again where it is opened */
const models = new WeakMap<Checkpoint['config'], Model>()

function modelOf(config: Checkpoint['config']): Model {
  let model = models.get(config)
  if (!model) models.set(config, (model = openConfig(config)))
  return model
}

/** Experts in a form that isn't known here are told by what is there. @throws SaqrError MODEL_WEIGHT */
function checkStacks(path: string, { family }: Model, parameters: Parameters, tensors: Map<string, CheckpointTensor>): void {
  for (const { name, role } of parameters.values()) {
    if (role !== 'experts' || tensors.has(name)) continue
    const like = [...tensors.keys()].find((given) => given.startsWith(name) && !parameters.has(given))
    if (like !== undefined)
      throw new SaqrError(
        'MODEL_WEIGHT',
        `${path} has no tensor '${name}', which its config.json calls for, but '${like}': ${family} files are known with all experts of a layer in one. Take the model as its makers published it`,
      )
  }
}

/** Tensors of a text model that stand at another path are of another class than config.json. @throws SaqrError MODEL_WEIGHT */
function checkPath(path: string, model: Model, tensors: ReadonlyMap<string, CheckpointTensor>): void {
  const name = embeddingOf(model)
  const end = name.slice(model.path.length)
  if (tensors.has(name)) return
  const like = [...tensors.keys()].find((given) => given.endsWith(end) && !given.includes('.layers.'))
  if (like !== undefined)
    throw new SaqrError(
      'MODEL_WEIGHT',
      `${path} has no tensor '${name}', which its config.json calls for (${model.family}), but '${like}': config.json and weights are of different classes. Take both from one model, as its makers published it`,
    )
}

/** What becomes of a config.json's quantization_config; undefined where weights stay as it says. */
function quantisationNote(tensors: readonly CheckpointTensor[]): string | undefined {
  if (tensors.some(({ quant }) => quant)) return undefined
  const scaled = new Set(tensors.filter(({ storage }) => SCALED.has(storage)).map(({ storage }) => storage))
  if (scaled.size > 0) return `its weights in ${[...scaled].join(' and ')} are made floats of again, and saved as such`
  return 'config.json has a quantization_config, but the weights are not quantised: it is left out'
}

/** forms whose scales are folded in as a weight is read */
const SCALED: ReadonlySet<string> = new Set(['F8_E4M3', 'MXFP4'])

/** The configuration of a folder, a .gguf file or a config.json; what the weights beside it say of it counts where they are there. */
export function settledConfig(path: string): Checkpoint['config'] {
  return hasWeights(path) ? settle(openCheckpoint(path)).checkpoint.config : readConfig(path)
}

/** A checkpoint with other tensors; its tokenizer is still read on first use only. */
export function withTensors(
  given: Checkpoint,
  config: Checkpoint['config'],
  tensors: Checkpoint['tensors'],
  tokenizer?: Checkpoint['tokenizer'],
): Checkpoint {
  const { kind, path, generationConfig, adapter } = given
  return {
    kind,
    path,
    generationConfig,
    adapter,
    config,
    tensors,
    get tokenizer() {
      return tokenizer ?? given.tokenizer
    },
  }
}

/** traced once each: a trace of a small model takes longer than most of what asks for its tensors */
const whole = new WeakMap<Model, TraceRecorder>()

function wholeOf(model: Model): TraceRecorder {
  let recorder = whole.get(model)
  if (!recorder) whole.set(model, (recorder = inspect(model, new Full(), 'f32')))
  return recorder
}

/** name of the tensor that tokens are read of */
export function embeddingOf(model: Model): string {
  return [...parametersOf(model).values()].find(({ name, role }) => role === 'embedding' && name !== `${model.head.path}.weight`)!.name
}

/** the tensors the model is made of, by name */
export const parametersOf = (model: Model): ReadonlyMap<string, ParameterSpec> => wholeOf(model).parameters

/** tensors of the model that nothing trains: kept in f32, in files too */
export const buffersOf = (model: Model): ReadonlySet<string> => new Set(wholeOf(model).weights.keys())

const weightNames = (model: Model) => new Set([...parametersOf(model).keys(), ...buffersOf(model)])

/** A tensor of another model than the one of text, which stands in the same checkpoint. */
export const isBeside = ({ composite }: Model, name: string): boolean =>
  composite?.beside.some((path) => name.startsWith(`${path}.`)) ?? false

const piecesOf = (model: Model, names: Iterable<string>) =>
  [...names].flatMap((name) => [...(model.pieces?.(name).flat() ?? []), ...(model.apart?.(name) ?? [])])

type Parameters = ReturnType<typeof parametersOf>

/** Those of `names` that are there: all or none. @throws SaqrError MODEL_WEIGHT: some are there, not all */
function allOf(path: string, name: string, names: readonly string[], tensors: ReadonlyMap<string, CheckpointTensor>): CheckpointTensor[] {
  const missing = names.filter((piece) => !tensors.has(piece))
  if (missing.length === names.length) return []
  if (missing.length > 0) {
    const more = missing.length > 1 ? ` and ${missing.length - 1} more` : ''
    throw new SaqrError(
      'MODEL_WEIGHT',
      `${path} lacks ${missing[0]}${more} of the ${names.length} tensors that are ${name}: a shard may be missing`,
    )
  }
  return names.map((piece) => tensors.get(piece)!)
}

/** @throws SaqrError MODEL_WEIGHT: one is of another shape */
function checkShapes(path: string, found: readonly CheckpointTensor[], rows: number, cols: number): void {
  const wrong = found.find((t) => t.cols !== cols || t.rows !== rows)
  if (wrong)
    throw new SaqrError(
      'MODEL_WEIGHT',
      `${path}: '${wrong.name}' is ${wrong.shape.join(' × ')}, but config.json calls for ${rows} × ${cols}`,
    )
}

/** Tensors that the files hold in pieces, or by another name, become one under the model's. */
function joinPieces(path: string, model: Model, parameters: Parameters, tensors: Map<string, CheckpointTensor>): void {
  for (const { name, rows, cols } of parameters.values()) {
    if (tensors.has(name)) continue
    for (const pieces of model.pieces?.(name) ?? []) {
      const found = allOf(path, name, pieces, tensors)
      if (found.length === 0) continue
      checkShapes(path, found, rows / found.length, cols)
      for (const piece of pieces) tensors.delete(piece)
      tensors.set(name, found.length > 1 ? joinTensors(name, found) : { ...found[0]!, name, inFile: found[0]!.inFile ?? found[0]!.name })
      break
    }
  }
}

/** Experts that the files have each by itself, the other way round than the model (`Model.apart`). */
function joinApart(path: string, model: Model, parameters: Parameters, tensors: Map<string, CheckpointTensor>): void {
  for (const { name, rows, cols, role } of parameters.values()) {
    const names = tensors.has(name) ? [] : (model.apart?.(name) ?? [])
    const found = allOf(path, name, names, tensors)
    if (found.length === 0) continue
    const height = rows / found.length
    checkShapes(path, found, ...(role === 'experts' ? ([cols, height] as const) : ([height, cols] as const)))
    for (const piece of names) tensors.delete(piece)
    if (role === 'experts') tensors.set(name, joinAcross(name, found))
    else tensors.set(name, found.length > 1 ? { ...joinTensors(name, found), parts: undefined } : { ...found[0]!, name })
  }
}

/** Under the model's names: the prefix may be missing, as in a file of the model without its head, or stand before the head too. */
function named({ path, tensors }: Checkpoint, model: Model, wanted: ReadonlySet<string>): Map<string, CheckpointTensor> {
  const found = new Map<string, CheckpointTensor>()
  for (const [given, tensor] of tensors) {
    const name = model.composite?.renamed(given) ?? given
    const short = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name
    const meant = [name, short, PREFIX + name].find((n) => wanted.has(n)) ?? name
    if (found.has(meant))
      throw new SaqrError('MODEL_WEIGHT', `${path} has ${meant} twice, with ${PREFIX} before it and without: remove one`)
    const renamed = meant === given ? tensor : { ...tensor, name: meant }
    found.set(meant, model.composite && meant !== given ? { ...renamed, inFile: tensor.inFile ?? given } : renamed)
  }
  return found
}

/**
 * The head of a config that ties it: with one of the two tensors that one is both; equal ones are one; different ones are two weights, whatever
 * the config says. Returns what to tell of the last.
 */
function settleHead(path: string, { head }: Model, tensors: Map<string, CheckpointTensor>): string | undefined {
  if (head.tiedTo === undefined) return undefined
  const names = { embedding: `${head.tiedTo}.weight`, head: `${head.path}.weight` }
  const embedding = tensors.get(names.embedding)
  const own = tensors.get(names.head)
  if (!own) return undefined
  if (embedding && !sameValues(embedding, own))
    return `${path}: config.json ties ${names.head} to ${names.embedding}, but the file has both with different values, so they are not tied`
  tensors.set(names.embedding, embedding ?? { ...own, name: names.embedding })
  tensors.delete(names.head)
  return undefined
}

/** torch.equal */
export function sameValues(a: CheckpointTensor, b: CheckpointTensor): boolean {
  if (a.rows !== b.rows || a.cols !== b.cols) return false
  const step = Math.max(1, Math.floor(CHUNK / a.cols))
  for (let row = 0; row < a.rows; row += step) {
    const count = Math.min(step, a.rows - row)
    const x = asF32(a.load('f32', row, count))
    const y = asF32(b.load('f32', row, count))
    for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false
  }
  return true
}

const NAMED = 4

function notUsed(path: string, family: string, names: readonly string[]): string {
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : ''
  const are = names.length === 1 ? 'is' : 'are'
  return `${path}: ${names.slice(0, NAMED).join(', ')}${more} ${are} no part of a ${family} model: left out, as transformers leaves ${names.length === 1 ? 'it' : 'them'} out`
}
