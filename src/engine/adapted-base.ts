/**
 * The base as an adapter's own files have it: embedding and head that were saved along or resized, and rows of trainable_token_indices,
 * stand in for the checkpoint's, as AutoPeftModelForCausalLM puts them there.
 */
import { isSaved } from '../adapters/match.ts'
import { SaqrError } from '../error.ts'
import type { JsonObject } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import type { Adapter } from '../formats/peft/read.ts'
import type { Checkpoint, CheckpointTensor } from '../formats/tensor.ts'
import type { Model } from '../models/family.ts'
import { parametersOf, sameValues, settle, withTensors } from './settle.ts'

interface Names {
  embedding: string
  head: string
  /** one weight is both */
  tied: boolean
}

/**
 * The checkpoint itself where the adapter keeps nothing of the base.
 * @throws SaqrError FORMAT_ADAPTER for what has no place in this base
 */
export function adaptedBase(given: Checkpoint, adapter: Adapter, folder: string): Checkpoint {
  const { checkpoint, model } = settle(given)
  const names = namesOf(model)
  const fail = (what: string) => new SaqrError('FORMAT_ADAPTER', `The adapter ${folder} ${what}.`)
  const { ensureWeightTying, modulesToSave } = adapter.config
  const isNamed = (name: string) => isSaved(modulesToSave ?? [], pathOf(name))
  const asOne = ensureWeightTying && names.tied && (isNamed(names.embedding) || isNamed(names.head))
  const isTrained = (name: string) => asOne || isNamed(name)
  const stored = storedBase(checkpoint, adapter, names, isTrained, fail)
  const rows = resize(model.vocab, adapter, stored, names, isTrained, fail)
  const parted = replaceRows(checkpoint, adapter, stored, names, fail)
  if (stored.size === 0) return given
  const tied = parted ? { tie_word_embeddings: false } : {}
  const { composite } = model
  const text = composite && (checkpoint.config[composite.config] as JsonObject | undefined)
  const sized = composite ? { [composite.config]: withKeys(text ?? {}, { vocab_size: rows }) } : { vocab_size: rows }
  const config = withKeys(checkpoint.config, { ...sized, ...tied })
  return { ...withTensors(checkpoint, config, new Map([...checkpoint.tensors, ...stored])), adapter: { folder, stored: adapter.stored } }
}

const pathOf = (name: string) => name.replace(/\.weight$/, '')

type Fail = (what: string) => SaqrError

function namesOf(model: Model): Names {
  const { head } = model
  const embedding = [...parametersOf(model).values()].find(({ name, role }) => role === 'embedding' && name !== `${head.path}.weight`)
  return { embedding: embedding!.name, head: `${head.path}.weight`, tied: head.tiedTo !== undefined }
}

/** Base weights in the adapter's file, by name; a head that reads the embedding goes by the embedding's. */
function storedBase(
  { tensors }: Checkpoint,
  { base, saved }: Adapter,
  { embedding, head, tied }: Names,
  isTrained: (name: string) => boolean,
  fail: Fail,
): Map<string, CheckpointTensor> {
  const stored = new Map(base)
  for (const name of [embedding, head]) if (!isTrained(name) && saved.has(name)) stored.set(name, saved.get(name)!)
  const own = tied ? stored.get(head) : undefined
  if (own) {
    const other = stored.get(embedding)
    if (other && !sameValues(own, other))
      throw fail(`keeps ${embedding} and ${head} with different values, over a base that has one weight for both`)
    stored.delete(head)
    stored.set(embedding, { ...own, name: embedding })
  }
  for (const [name, tensor] of stored) {
    const there = tensors.get(name)
    if (!there) throw fail(`keeps the base weight ${name}, which the base doesn't have`)
    const sized = name === embedding || name === head
    if (tensor.cols !== there.cols || (!sized && tensor.rows !== there.rows))
      throw fail(
        `keeps the base weight ${name} as ${tensor.shape.join(' × ')}, but the base has ${there.shape.join(' × ')}: it was made over another base`,
      )
  }
  return stored
}

/**
 * Rows of embedding and head: the adapter's, where they were resized. What has no weight of that size would have new rows at random.
 * A weight that is trained whole (modules_to_save) is put in as what training starts from.
 */
function resize(
  vocab: number,
  { saved, config }: Adapter,
  stored: Map<string, CheckpointTensor>,
  { embedding, head, tied }: Names,
  isTrained: (name: string) => boolean,
  fail: Fail,
): number {
  const own = (name: string) => (isTrained(name) ? saved.get(name) : undefined)
  const sizes = new Map(
    [embedding, head].flatMap((name) => [stored.get(name), own(name)].map((t): [number | undefined, string] => [t?.rows, name])),
  )
  sizes.delete(undefined)
  const [rows = vocab, ...others] = sizes.keys() as Iterable<number>
  if (others.length > 0)
    throw fail(`keeps embedding and head with different numbers of rows: ${[...sizes].map(([n, name]) => `${name} ${n}`).join(', ')}`)
  if (rows === vocab) return vocab
  const missing = (name: string) =>
    fail(
      `was trained with a vocabulary of ${rows} tokens where the base has ${vocab}, but does not keep ${name} of that size, so that its new rows are lost: save the resized base too, where it was trained, and name it as base_model_name_or_path in adapter_config.json`,
    )
  if (!stored.has(embedding)) {
    const start = own(embedding)
    if (!start || (tied && !own(head) && !config.ensureWeightTying)) throw missing(embedding)
    stored.set(embedding, start)
  }
  if (!tied && !stored.has(head)) {
    const start = own(head)
    if (!start) throw missing(head)
    stored.set(head, start)
  }
  return rows
}

/** Rows of trainable_token_indices in place. Returns whether embedding and head part by them. */
function replaceRows(checkpoint: Checkpoint, adapter: Adapter, stored: Map<string, CheckpointTensor>, names: Names, fail: Fail): boolean {
  const { embedding, head, tied } = names
  const wanted = tokensByWeight(adapter, names, fail)
  // a tied head goes with the embedding, unless it has tokens of its own
  const own = wanted.has(head) && String(wanted.get(head)) !== String(wanted.get(embedding))
  const asOne = tied && wanted.has(embedding) && !own
  if (tied && wanted.has(embedding) && own && adapter.config.ensureWeightTying)
    throw fail('has other trainable_token_indices for the head than for the embedding, and ensure_weight_tying')
  const unnamed = [...adapter.tokens.keys()].map((module) => `${module}.weight`).find((n) => !wanted.has(n) && !(asOne && n === head))
  if (unnamed) throw fail(`has rows for ${pathOf(unnamed)}, which its trainable_token_indices don't name`)
  if (asOne) wanted.delete(head)
  const base = (name: string) => stored.get(tied ? embedding : name) ?? checkpoint.tensors.get(tied ? embedding : name)!
  const replaced = [...wanted].map(([name, indices]): [string, CheckpointTensor] => {
    return [name, withRows(base(name), name, indices, rowsFor(adapter, name, indices, base(name), fail))]
  })
  for (const [name, tensor] of replaced) stored.set(name, tensor)
  return tied && wanted.has(head)
}

function tokensByWeight({ config }: Adapter, { embedding, head }: Names, fail: Fail): Map<string, readonly number[]> {
  const given = config.trainableTokenIndices
  if (given === null) return new Map()
  const byModule = Array.isArray(given) ? { [pathOf(embedding)]: given } : given
  return new Map(
    Object.entries(byModule).map(([module, indices]) => {
      const name = [embedding, head].find((n) => pathOf(n).endsWith(module))
      if (!name) throw fail(`has trainable_token_indices for ${module}, which is neither embedding nor head`)
      if (isSaved(config.modulesToSave ?? [], pathOf(name)))
        throw fail(`trains ${module} both whole (modules_to_save) and by trainable_token_indices`)
      return [name, indices]
    }),
  )
}

/** The stored rows. */
function rowsFor({ tokens }: Adapter, name: string, indices: readonly number[], base: CheckpointTensor, fail: Fail): CheckpointTensor {
  const module = pathOf(name)
  const rows = tokens.get(module)
  if (!rows) throw fail(`has trainable_token_indices, but no rows for ${module}`)
  if (rows.rows !== indices.length || rows.cols !== base.cols)
    throw fail(
      `has ${rows.shape.join(' × ')} rows for ${indices.length} trainable_token_indices of ${module}, which has ${base.cols} columns`,
    )
  const outside = indices.find((index) => index >= base.rows)
  if (outside !== undefined) throw fail(`has the trainable token ${outside}, but ${module} has ${base.rows} rows only`)
  return rows
}

/** `tensor` with row `indices[i]` taken from row i of `rows`. */
function withRows(tensor: CheckpointTensor, name: string, indices: readonly number[], rows: CheckpointTensor): CheckpointTensor {
  return {
    ...tensor,
    name,
    source: undefined,
    blocks: undefined,
    load(dtype, from = 0, count = tensor.rows - from) {
      const bytes = tensor.load(dtype, from, count)
      const width = bytes.byteLength / count
      for (const [i, index] of indices.entries())
        if (index >= from && index < from + count) bytes.set(rows.load(dtype, i, 1), (index - from) * width)
      return bytes
    },
  }
}
