/** Where the file of a PEFT adapter has the values of what it trains over a base: known from names and shapes, before any of the base is read. */
import type { ParameterSpec } from '../adapters/adapter.ts'
import { fileShape, fromFile } from '../adapters/expert-layout.ts'
import { TOKEN_ROWS } from '../adapters/token-rows.ts'
import { SaqrError } from '../error.ts'
import { matrixShape } from '../formats/dense.ts'
import { asF32 } from '../formats/numbers.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { Adapter } from '../formats/peft/read.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import type { Model } from '../models/family.ts'
import { takeExperts } from './expert-adapters.ts'
import { isBeside, parametersOf, sameValues } from './settle.ts'

export interface Over {
  model: Model
  /** what the base is called in errors */
  path: string
  /** the adapter's, as it is settled over this model */
  config: AdapterConfig
  /** what is trained, in the order in which it is told of */
  trained: ReadonlyMap<string, ParameterSpec>
  /** names of further copies of what is trained, and of what */
  copies?: ReadonlyMap<string, string> | undefined
  /** of a tensor: may the base's rows be others than its config.json says, which only its files tell? Then it isn't looked at */
  passOver?(name: string): boolean
}

export interface Places {
  /** what reads them, as they lie here, by the name of what is trained */
  values: ReadonlyMap<string, () => Float32Array>
  /** tensors of the file that stand in them in another form, or of which PEFT reads nothing */
  taken: ReadonlySet<string>
}

/** @throws SaqrError FORMAT_ADAPTER for what is missing, of another size, or has no place */
export function placesOf(adapter: Adapter, folder: string, over: Over): Places {
  const { model, config, trained, passOver = () => false } = over
  const given = tensorsOf(adapter)
  const asGiven = [...given.keys()]
  const older = takeExperts(model, [...parametersOf(model).keys()], config, given, (name) => trained.get(name))
  const taken = new Set(asGiven.filter((name) => !given.has(name)))
  const values = new Map(older)
  const used = new Set<string>()
  for (const [name, spec] of trained) {
    if (older.has(name) || passOver(name)) continue
    const key = /\.base_layer\.lora_/.test(name) ? name : name.replace('.base_layer.', '.')
    const t = given.get(key)
    const { rows, cols } = matrixShape(fileShape(spec))
    if (!t)
      throw bad(
        folder,
        `has no ${name}, which its adapter_config.json calls for on this base${apartBut(given, name)}${elsewhere(given, name, model)}`,
      )
    if (name.endsWith(TOKEN_ROWS) && t.rows !== rows)
      throw bad(folder, `has ${t.shape.join(' × ')} values of ${name} for ${rows} trainable_token_indices`)
    if (t.rows !== rows || t.cols !== cols) throw misfit(over, folder, name, t, `${rows} × ${cols}`)
    values.set(name, () => fromFile(spec, asF32(t.load('f32'))))
    used.add(key)
  }
  for (const [copy, name] of over.copies ?? []) {
    const t = adapter.saved.get(copy)
    if (t && !sameValues(t, adapter.saved.get(name)!))
      throw bad(folder, `has ${copy} with other values than ${name}, although ensure_weight_tying makes them one`)
    used.add(copy)
  }
  const { tiedTo, path: head } = model.head
  // of a head that reads the embedding, written where embeddings are saved along: PEFT doesn't read them
  const unread = tiedTo !== undefined && used.has(`${tiedTo}.${TOKEN_ROWS}`) ? `${head}.${TOKEN_ROWS}` : null
  if (unread !== null) taken.add(unread)
  const kept = new Set([...adapter.base.keys(), ...keptUntrained(model), unread])
  for (const [name, tensor] of given) {
    if (used.has(name) || kept.has(name) || passOver(name)) continue
    if (!isBeside(model, name)) throw unplaced(over, folder, name)
    // PEFT puts modules of these names there too; rows of text leave them as they began
    if (!/\.lora_A\.weight$/.test(name) && !(/\.lora_B\.weight$/.test(name) && isZero(tensor)))
      throw bad(
        folder,
        `changes ${name}, which stands beside the text model: only that is computed with here, and a merged model would lack it`,
      )
  }
  return { values, taken }
}

/** weights of the base that the adapter's file may hold without training them */
function keptUntrained(model: Model): string[] {
  const embedding = [...parametersOf(model).values()].filter(({ role }) => role === 'embedding')
  return [...embedding.map(({ name }) => name), `${model.head.path}.weight`]
}

const isZero = (tensor: CheckpointTensor) => asF32(tensor.load('f32')).every((x) => x === 0)

/** by the names that trained tensors have, less `base_layer` */
function tensorsOf({ saved, modules, tokens }: Adapter): Map<string, CheckpointTensor> {
  const given = new Map(saved)
  for (const [path, rows] of tokens) given.set(`${path}.${TOKEN_ROWS}`, rows)
  for (const [path, { embedding, a, b, bias }] of modules) {
    given.set(`${path}.${embedding ? 'lora_embedding_A' : 'lora_A.weight'}`, a)
    given.set(`${path}.${embedding ? 'lora_embedding_B' : 'lora_B.weight'}`, b)
    if (bias) given.set(`${path}.lora_B.bias`, bias)
  }
  return given
}

/** Where the file has parts of single experts in the place of all of them. */
function apartBut(given: ReadonlyMap<string, CheckpointTensor>, name: string): string {
  const [, layer] = /^(.*\.layers\.\d+\.).*\.experts\./.exec(name) ?? []
  if (layer === undefined) return ''
  const single = [...given.keys()].find((key) => key.startsWith(layer) && /\.experts\.(\d+\.|\w+\.\d+\.)/.test(key))
  return single === undefined
    ? ''
    : `: it has parts of single experts (${single}), which stand for that only where every expert’s are there, each of one rank, under names that a file of such a model has for them`
}

/** Where the file has it at another path, and nothing in the blocks of the text model: of a base of another class. */
function elsewhere(given: ReadonlyMap<string, CheckpointTensor>, name: string, model: Model): string {
  const [, blocks, end] = /^(.*?\.layers\.)(\d+\..*)$/.exec(name) ?? []
  const keys = [...given.keys()].filter((key) => !isBeside(model, key))
  if (end === undefined || keys.some((key) => key.startsWith(blocks!))) return ''
  const like = keys.find((key) => key.endsWith(`.layers.${end}`))
  return like === undefined ? '' : `: it has ${like}, of a base of another class, which base_model_name_or_path must name`
}

/** The base has the module, but of another size. */
function misfit({ model, path }: Over, folder: string, name: string, { shape }: CheckpointTensor, wanted: string): SaqrError {
  return bad(
    folder,
    `has ${name} as ${shape.join(' × ')} where ${path} (${model.family}, ${model.layers} layers, ${model.channels} channels) takes ${wanted}: base_model_name_or_path in its adapter_config.json must name the base it was trained over`,
  )
}

/** A tensor that neither the configuration nor the base has a place for. */
function unplaced({ model, path: base, config }: Over, folder: string, name: string): SaqrError {
  if (name.endsWith(TOKEN_ROWS)) return bad(folder, `has ${name}, which its trainable_token_indices don't name`)
  const path = name.replace(/\.(lora_A\.weight|lora_B\.(weight|bias)|lora_embedding_[AB]|weight|bias)$/, '')
  const known = parametersOf(model).has(`${path}.weight`) || path === model.head.path
  const whole = model.within?.[path.split('.').at(-1)!]
  if (whole !== undefined)
    return bad(
      folder,
      `has ${name}, which in ${base} (${model.family}) is a part of ${whole}: it was trained over the same model with its linears apart, which base_model_name_or_path in its adapter_config.json must name`,
    )
  const { targetModules, modulesToSave } = config
  const named = `target_modules ${JSON.stringify(targetModules)}${modulesToSave ? `, modules_to_save ${JSON.stringify(modulesToSave)}` : ''}`
  return bad(
    folder,
    known
      ? `has ${name}, but its adapter_config.json does not name ${path} (${named})`
      : `has ${name}, but ${base} (${model.family}, ${model.layers} layers) has no module ${path}: base_model_name_or_path in its adapter_config.json must name the base it was trained over`,
  )
}

const bad = (folder: string, why: string) => new SaqrError('FORMAT_ADAPTER', `The adapter ${folder} ${why}.`)
