/**
 * The `model` of a tokenizer.json, and the tables that are made of its vocabulary and merges, once: tokens that are added to a tokenizer leave them as
 * they are. A model whose file has them otherwise (GGUF) makes `vocab` and `merges` when somebody asks for them. Encoding doesn't, and as objects they are most of a tokenizer.
 */
import type { JsonObject } from './json.ts'
import { type Merge, type MergeIds, MergeTexts, Vocabulary } from './vocabulary.ts'

/** of the tokenizer.json's parts the one that merges */
export type BpeModel = Readonly<Record<string, unknown>>

export class BpeTables {
  readonly vocabulary: Vocabulary
  readonly #read: () => MergeTexts
  #merges: { texts: MergeTexts; ids: MergeIds } | undefined

  constructor(vocabulary: Vocabulary, merges: () => MergeTexts) {
    this.vocabulary = vocabulary
    this.#read = merges
  }

  /** @throws SaqrError TEXT_TOKENIZER_INVALID */
  get merges(): { texts: MergeTexts; ids: MergeIds } {
    if (!this.#merges) {
      const texts = this.#read()
      this.#merges = { texts, ids: texts.idsIn(this.vocabulary) }
    }
    return this.#merges
  }
}

const known = new WeakMap<BpeModel, BpeTables>()
/** models that make their vocabulary and merges of tables */
const late = new WeakSet<BpeModel>()

export function tablesOf(model: BpeModel): BpeTables {
  let tables = known.get(model)
  if (!tables) {
    const { vocab, merges } = model as { vocab: Record<string, number>; merges: readonly Merge[] }
    known.set(model, (tables = new BpeTables(Vocabulary.of(vocab), () => MergeTexts.of(merges))))
  }
  return tables
}

export const hasVocabulary = (model: BpeModel) => late.has(model) || (typeof model.vocab === 'object' && model.vocab !== null)
export const hasMerges = (model: BpeModel) => late.has(model) || Array.isArray(model.merges)

/** A model of these tables. */
export function lateModel(rules: JsonObject, tables: BpeTables): JsonObject {
  let vocab: JsonObject | undefined
  let merges: unknown[] | undefined
  const model = {
    ...rules,
    get vocab() {
      return (vocab ??= tables.vocabulary.toJson())
    },
    get merges() {
      return (merges ??= tables.merges.texts.toArray())
    },
  }
  known.set(model, tables)
  late.add(model)
  return model
}

/** What a model says beside its vocabulary and merges. */
export const rulesOf = (model: BpeModel) =>
  Object.fromEntries(
    Object.keys(model)
      .filter((key) => key !== 'vocab' && key !== 'merges')
      .map((key) => [key, model[key]]),
  )

/** The same vocabulary and merges, as far as it has them, under other rules. */
export function withRules<M extends BpeModel>(model: M, rules: JsonObject): M {
  const made = { ...rulesOf(model), ...rules } as unknown as M
  for (const part of ['vocab', 'merges']) {
    const own = Object.getOwnPropertyDescriptor(model, part)
    if (own) Object.defineProperty(made, part, own)
  }
  known.set(made, tablesOf(model))
  if (late.has(model)) late.add(made)
  return made
}
