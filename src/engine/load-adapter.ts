/** A PEFT adapter folder over an open base: the same tensors, to generate with or to train on. */

import { TOKEN_ROWS } from '../adapters/token-rows.ts'
import { SaqrError } from '../error.ts'
import { matrixShape } from '../formats/dense.ts'
import { asF32 } from '../formats/numbers.ts'
import { type Adapter, readAdapter } from '../formats/peft/read.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import { adaptedBase } from './adapted-base.ts'
import { takeExperts } from './expert-adapters.ts'
import { LanguageModel } from './language-model.ts'
import type { OpenedModel } from './opened-model.ts'
import { isBeside, parametersOf, sameValues } from './settle.ts'
import { tokenProblem } from './token-rows.ts'

/**
 * @param opened the base as the adapter has it (`adaptedBase`)
 * @throws SaqrError FORMAT_ADAPTER where its tensors are not those that its configuration means on this base
 */
export function loadAdapter(opened: OpenedModel, folder: string): LanguageModel {
  const adapter = readAdapter(folder)
  checkBase(opened, adapter, folder)
  const wrong = tokenProblem(opened.model, adapter.config)
  if (wrong !== null) throw bad(folder, `has trainable_token_indices that are none of this base: ${wrong}`)
  const model = new LanguageModel(opened, { kind: 'lora', config: adapter.config }, 0)
  try {
    fill(model, adapter, folder)
    return model
  } catch (error) {
    model.disposeAdapter()
    throw error
  }
}

/** The base was opened with what the adapter keeps of it, or has the same values. */
function checkBase(opened: OpenedModel, adapter: Adapter, folder: string): void {
  const { checkpoint } = opened
  if (checkpoint.adapter?.folder === folder) return
  const { tensors } = adaptedBase(checkpoint, adapter, folder)
  for (const [name, tensor] of tensors) {
    const there = checkpoint.tensors.get(name)
    if (tensor === there || (there && sameValues(tensor, there))) continue
    throw bad(folder, `keeps ${name} with other values than this base: open the adapter's folder itself, which opens its base with them`)
  }
}

function fill(model: LanguageModel, adapter: Adapter, folder: string): void {
  const { trainables } = model
  const given = tensorsOf(adapter)
  const asGiven = [...given.keys()]
  const { model: base } = model.opened
  const older = takeExperts(
    base,
    [...parametersOf(base).keys()],
    model.adapter.config!,
    given,
    (n) => trainables.layout.entries.get(n)?.spec,
  )
  const otherwise = new Set(asGiven.filter((name) => !given.has(name)))
  for (const [name, values] of older) trainables.set(name, values)
  const used = new Set<string>()
  for (const name of trainables.names.filter((one) => !older.has(one))) {
    const key = /\.base_layer\.lora_/.test(name) ? name : name.replace('.base_layer.', '.')
    const t = given.get(key)
    const { rows, cols } = matrixShape(trainables.fileShape(name))
    if (!t) throw bad(folder, `has no ${name}, which its adapter_config.json calls for on this base`)
    if (name.endsWith(TOKEN_ROWS) && t.rows !== rows)
      throw bad(folder, `has ${t.shape.join(' × ')} values of ${name} for ${rows} trainable_token_indices`)
    if (t.rows !== rows || t.cols !== cols) throw misfit(model, folder, name, t, `${rows} × ${cols}`)
    trainables.setFromFile(name, asF32(t.load('f32')))
    used.add(key)
  }
  for (const [copy, name] of model.adapter.copies ?? []) {
    const t = adapter.saved.get(copy)
    if (t && !sameValues(t, adapter.saved.get(name)!))
      throw bad(folder, `has ${copy} with other values than ${name}, although ensure_weight_tying makes them one`)
    used.add(copy)
  }
  const { tiedTo, path: head } = base.head
  // of a head that reads the embedding, written where embeddings are saved along: PEFT doesn't read them
  const copied = tiedTo !== undefined && used.has(`${tiedTo}.${TOKEN_ROWS}`) ? `${head}.${TOKEN_ROWS}` : null
  const kept = new Set([...adapter.base.keys(), ...keptUntrained(model), copied])
  for (const [name, tensor] of given) {
    if (used.has(name) || kept.has(name)) continue
    if (!isBeside(model.opened.model, name)) throw unplaced(model, folder, name)
    // PEFT puts modules of these names there too; rows of text leave them as they began
    if (!/\.lora_A\.weight$/.test(name) && !(/\.lora_B\.weight$/.test(name) && isZero(tensor)))
      throw bad(
        folder,
        `changes ${name}, which stands beside the text model: only that is computed with here, and a merged model would lack it`,
      )
  }
  const { names } = trainables
  const copies = [...(model.adapter.copies?.keys() ?? [])]
  // one object for each, also where the base reads it: a file that is written over moves them
  const { adapter: opened } = model.opened.checkpoint
  model.kept = [...(opened?.folder === folder ? opened : adapter).stored].filter(
    ([name]) =>
      !names.includes(name) &&
      !otherwise.has(name) &&
      !copies.includes(name) &&
      name !== copied &&
      !name.endsWith('.modules_to_save.weight'),
  )
}

/** weights of the base that the adapter's file may hold without training them */
function keptUntrained({ opened: { model } }: LanguageModel): string[] {
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

/** The base has the module, but of another size. */
function misfit({ opened }: LanguageModel, folder: string, name: string, { shape }: CheckpointTensor, wanted: string): SaqrError {
  const { model, checkpoint } = opened
  return bad(
    folder,
    `has ${name} as ${shape.join(' × ')} where ${checkpoint.path} (${model.family}, ${model.layers} layers, ${model.channels} channels) takes ${wanted}: base_model_name_or_path in its adapter_config.json must name the base it was trained over`,
  )
}

/** A tensor that neither the configuration nor the base has a place for. */
function unplaced({ opened, adapter }: LanguageModel, folder: string, name: string): SaqrError {
  if (name.endsWith(TOKEN_ROWS)) return bad(folder, `has ${name}, which its trainable_token_indices don't name`)
  const path = name.replace(/\.(lora_A\.weight|lora_B\.(weight|bias)|lora_embedding_[AB]|weight|bias)$/, '')
  const parameters = parametersOf(opened.model)
  const known = parameters.has(`${path}.weight`) || path === opened.model.head.path
  const { targetModules, modulesToSave } = adapter.config!
  const named = `target_modules ${JSON.stringify(targetModules)}${modulesToSave ? `, modules_to_save ${JSON.stringify(modulesToSave)}` : ''}`
  return bad(
    folder,
    known
      ? `has ${name}, but its adapter_config.json does not name ${path} (${named})`
      : `has ${name}, but ${opened.checkpoint.path} (${opened.model.family}, ${opened.model.layers} layers) has no module ${path}: base_model_name_or_path in its adapter_config.json must name the base it was trained over`,
  )
}

const bad = (folder: string, why: string) => new SaqrError('FORMAT_ADAPTER', `The adapter ${folder} ${why}.`)
