/** An open model as programs hold it: asked, trained, saved, freed. */
import { join } from 'node:path'
import { DEFAULT, NamedAdapters } from './adapters-of-model.ts'
import { readPromptForm } from './data/prompt-form.ts'
import { readRunRecord } from './data/run-record.ts'
import { writeCard } from './engine/card.ts'
import type { LanguageModel } from './engine/language-model.ts'
import { loadAdapter } from './engine/load-adapter.ts'
import { resizeModel, rowsFor } from './engine/resize.ts'
import { saveTrained } from './engine/save.ts'
import { weightedAdapter } from './engine/weighted-adapter.ts'
import { withoutAdapter } from './engine/without-adapter.ts'
import { option, SaqrError, say } from './error.ts'
import { ADAPTER_TYPES, isAdapterType, saveGgufAdapter } from './export/gguf-adapter.ts'
import { mergedLines, type SavedMerged, saveMerged } from './export/merged.ts'
import { besideGguf, ggufLines, ggufPath, type SavedGguf, saveGguf } from './export/save-gguf.ts'
import { WEIGHTED, type WeightedAdapterOptions, weightedBy } from './export/weighted-options.ts'
import type { Quantization } from './formats/gguf/mixture.ts'
import { Chat, type ChatSettings } from './generate/chat.ts'
import {
  type AnswerPiece,
  type AskOptions,
  type Ending,
  type GenerateOptions,
  generate,
  generateAnswers,
  type Prompt,
} from './generate/generate.ts'
import { ASK, CHAT, temperatureOf } from './generate/options.ts'
import { asPrompt, asPrompts } from './generate/prompts.ts'
import { type Checks, filled, flag, kind, orNull, take, takeOptions, texts, whole } from './hub/arguments.ts'
import { isFile } from './hub/files.ts'
import type { Pushed } from './hub/push.ts'
import { PUSH, PUSH_RENAMED, type PushToHubOptions, parted, pushSaved } from './push-to-hub.ts'
import { ADAPTER, GGUF, MERGED, type SaveGgufOptions, type SaveMergedOptions, type SaveOptions } from './save-options.ts'
import { Tokenizer } from './text/tokenizer.ts'
import { standardError } from './track/output.ts'

const numbers = kind<readonly number[]>('a list of numbers', (v) => Array.isArray(v) && v.every((one) => Number.isFinite(one)))

/** what a model frees beside its adapter: a base on the user's own device, or the device with all on it */
type Owned = 'nothing' | 'base' | 'device'

/** How new rows begin. */
export interface ResizeTokenOptions {
  /** rows are made a multiple of it; default 1 */
  padToMultipleOf?: number | null
  /** false: new rows are drawn around 0, with the initializer_range of config.json; default true: around the mean of the others */
  meanResizing?: boolean
  /** seed of the draw; default 3407 */
  randomState?: number
}

const RESIZE: Checks<ResizeTokenOptions> = { padToMultipleOf: orNull(whole(1)), meanResizing: flag, randomState: whole(0) }

/** An open model, trained or not. Made by FastLanguageModel. */
export class PretrainedModel {
  /** the tokenizer it was opened with; tokens may be added to it */
  readonly tokenizer: Tokenizer
  /** tokens that rows are cut to unless the trainer is told otherwise */
  readonly maxSeqLength: number
  /** as it was opened: what adapter_config.json names as its base */
  readonly name: string
  readonly #owns: Owned
  readonly #adapters: NamedAdapters

  constructor(language: LanguageModel, tokenizer: Tokenizer, maxSeqLength: number, name: string, owns: Owned) {
    this.#adapters = new NamedAdapters(language)
    this.tokenizer = tokenizer
    this.maxSeqLength = maxSeqLength
    this.name = name
    this.#owns = owns
  }

  /** the model as it is with the active adapter */
  get language(): LanguageModel {
    return this.#adapters.current
  }

  /** name of the adapter that answers, is trained and merged: `default`, unless setAdapter chose another */
  get activeAdapter(): string {
    return this.#adapters.active
  }

  /** names of the adapters that are loaded */
  get adapterNames(): string[] {
    return this.#adapters.names
  }

  /**
   * Loads another adapter over the same base, under a name of its own. The active one stays active; the others lie in memory and do nothing.
   * @param folder of a PEFT adapter, on disk
   * @throws SaqrError OPTION_INVALID for a name that is taken, FORMAT_ADAPTER for an adapter of another base, FORMAT_…, MODEL_TRAINING while a
   * run trains over the base
   */
  async loadAdapter(folder: string, name: string): Promise<void> {
    const path = take(folder, 'folder', filled)
    const { language } = this
    this.#requireAdapter('loadAdapter')
    this.#adapters.checkFree(take(name, 'the name of an adapter', filled))
    if (!isFile(join(path, 'adapter_config.json')))
      throw new SaqrError('FORMAT_NOT_FOUND', `${path} is no folder of an adapter: it has no adapter_config.json`)
    await language.opened.device.turn(async () => {
      language.alive()
      this.#adapters.checkFree(name)
      language.opened.untrained('another adapter')
      const loaded = loadAdapter(language.opened, path)
      loaded.promptForm = readPromptForm(path)
      loaded.run = readRunRecord(path)
      this.#adapters.add(name, loaded)
    })
  }

  /** The adapter of this name answers, is trained and merged from now on; a run that goes on trains the one it began with. @throws SaqrError OPTION_INVALID */
  setAdapter(name: string): void {
    this.#requireAdapter('setAdapter')
    this.#adapters.activate(take(name, 'the name of an adapter', filled))
  }

  /**
   * A new adapter that is others of this model by weights, as PEFT's of this name: `cat` (default) adds up what they do, exactly, with the sum of their
   * ranks; `svd`, `linear`, `ties` and `magnitude_prune` make one of no higher rank than theirs. It lies beside them until setAdapter makes it answer, be merged and saved.
   * @param weights one for each; they may be negative
   * @throws SaqrError OPTION_INVALID for a name that is taken, and adapters with more than low-rank parts; OPTION_REFUSED for PEFT's other combination types; MODEL_TRAINING
   */
  async addWeightedAdapter(
    adapters: readonly string[],
    weights: readonly number[],
    adapterName: string,
    options?: WeightedAdapterOptions,
  ): Promise<void> {
    this.#requireAdapter('addWeightedAdapter')
    const names = take(adapters, 'adapters', texts)
    const by = weightedBy(takeOptions(options, 'addWeightedAdapter', WEIGHTED))
    const given = take(weights, 'weights', numbers)
    if (names.length === 0 || names.length !== given.length)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('adapters')} names ${names.length}, and there are ${given.length} ${option('weights')}: one for each`,
      )
    this.#adapters.checkFree(take(adapterName, 'adapterName', filled))
    const parts = names.map((name, i) => ({ name, language: this.#adapters.get(name), weight: given[i]! }))
    await this.language.opened.device.turn(async () => {
      this.language.alive()
      this.#adapters.checkFree(adapterName)
      this.language.opened.untrained('another adapter')
      this.#adapters.add(adapterName, weightedAdapter(parts, by))
    })
  }

  /** Frees an adapter; where it was active, the first of the others is from now on. @throws SaqrError OPTION_INVALID, MODEL_TRAINING while a run trains it */
  async deleteAdapter(name: string): Promise<void> {
    this.#requireAdapter('deleteAdapter')
    this.#adapters.get(take(name, 'the name of an adapter', filled))
    await this.language.opened.device.turn(async () => this.#adapters.delete(name))
  }

  /** @throws SaqrError OPTION_INVALID, MODEL_DISPOSED */
  #requireAdapter(of: string): void {
    this.language.alive()
    if (this.language.adapter.config === null)
      throw new SaqrError(
        'OPTION_INVALID',
        `${of} is for a model with an adapter: open the adapter's own folder (fromPretrained), or begin one (getPeftModel)`,
      )
  }

  /** Rows of the embedding: ids are below it. */
  get vocabSize(): number {
    return this.language.opened.model.vocab
  }

  /**
   * Embedding and head get `rows` rows, before anything is trained over them: for tokens that were added, `tokenizer.idLimit`. New rows are drawn as
   * transformers draws them (around the mean of the rows there are, with 1e-9 of their covariance), the same for the same `randomState`; a head that
   * reads the embedding still does. Adapters over the model keep both along, as PEFT does. Costs rows · channels products a new row.
   * @param rows left out: those there are, made a multiple of `padToMultipleOf`
   * @returns the rows there are now
   * @throws SaqrError OPTION_INVALID for fewer rows than the tokenizer has ids, and where an adapter is over the model already
   */
  async resizeTokenEmbeddings(rows?: number | null, options?: ResizeTokenOptions): Promise<number> {
    const wanted = rows == null ? null : take(rows, 'the size of the vocabulary', whole(1))
    const { randomState: seed = 3407, ...o } = takeOptions<ResizeTokenOptions>(options, 'resizeTokenEmbeddings', RESIZE, {
      seed: 'randomState',
    })
    const count = rowsFor(wanted, this.vocabSize, o, this.tokenizer.idLimit)
    await this.language.opened.device.turn(async () => {
      this.language.alive()
      if (count !== this.vocabSize) this.#adapters.replace(resizeModel(this.language, count, { ...o, seed }))
    })
    this.#keepTokens()
    return count
  }

  /** tokens that were added are saved with the model, unless it was trained with another tokenizer */
  #keepTokens(): void {
    if (!this.tokenizer.extended) return
    for (const one of this.#adapters.all) if (one.tokenizer === one.opened.checkpoint.tokenizer) one.tokenizer = this.tokenizer.files
  }

  /**
   * The answers to several prompts, computed together: pieces of all of them as they come, each with its prompt's number and its token
   * (with `logprobs`, how likely it was), the last of each with why it ended. Answers are those that the prompts
   * would have alone; where they are drawn, a prompt's place in the list keys the draws beside the seed, so that equal prompts differ.
   */
  generate(prompts: readonly Prompt[], options?: GenerateOptions & AskOptions): AsyncGenerator<AnswerPiece, void>
  /**
   * The answer to a prompt, piece by piece. A text goes into the chat template as the rows did that the model was trained on, else where
   * there is a template (`chat: false`: it is taken as it is); messages always do; token ids are taken as they are. What the generator
   * returns at last says why the text ended: `end` (the model's own), `length` (maxNewTokens) or `positions` (the model knows no more).
   * @throws SaqrError OPTION_…, TEXT_…, MODEL_VOCABULARY, MODEL_DISPOSED, MODEL_TRAINING: `adapter: false` where the base’s own weights are not
   * in memory yet and a run was planned without them
   */
  generate(prompt: Prompt, options?: GenerateOptions & AskOptions): AsyncGenerator<string, Ending>
  generate(
    given: Prompt | readonly Prompt[],
    options?: GenerateOptions & AskOptions,
  ): AsyncGenerator<string, Ending> | AsyncGenerator<AnswerPiece, void> {
    const { adapter = true, ...o } = takeOptions(options, 'generate', ASK, {
      maxTokens: 'maxNewTokens',
      randomState: 'seed',
      stop: 'stopStrings',
    })
    const language = adapter ? this.language : withoutAdapter(this.language)
    const shaped = { ...o, temperature: temperatureOf(o) }
    const several = asPrompts(given)
    if (several) return generateAnswers(language, this.tokenizer, several, shaped)
    if (o.logprobs)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('logprobs')}: one prompt’s answer comes as text alone; ask with a list, generate([prompt], …), whose pieces tell their tokens`,
      )
    return generate(language, this.tokenizer, asPrompt(given), shaped)
  }

  /**
   * Begins a conversation through the chat template: `for await (const piece of chat.send('Hello')) …`. What was said stays on the device,
   * so that a turn costs what is new in it. The options are generate's, for every answer.
   * @throws SaqrError OPTION_…, TEXT_NO_TEMPLATE, MODEL_DISPOSED
   */
  chat(options?: ChatSettings): Chat {
    const o = takeOptions(options, 'chat', CHAT, { maxTokens: 'maxNewTokens', randomState: 'seed', stop: 'stopStrings' })
    return new Chat(this.language, this.tokenizer, { ...o, temperature: temperatureOf(o) })
  }

  /**
   * The adapter as PEFT writes it, or the whole checkpoint where all weights are trained; the tokenizer and a model card beside it. Of several adapters `default` lies
   * in the folder, each other in a folder below it by its name.
   * @throws SaqrError OPTION_INVALID: `unfuseExperts` of an adapter without experts
   */
  async savePretrained(folder: string, options?: SaveOptions): Promise<void> {
    const { unfuseExperts, selectedAdapters = this.adapterNames } = takeOptions<SaveOptions>(options, 'savePretrained', ADAPTER)
    const path = take(folder, 'folder', filled)
    if (selectedAdapters.length === 0)
      throw new SaqrError('OPTION_INVALID', say`${option('selectedAdapters')} names no adapter, so nothing would be saved`)
    const chosen = selectedAdapters.map((name) => [name, this.#adapters.get(name)] as const)
    this.#keepTokens()
    for (const [name, language] of chosen) {
      const folder = name === DEFAULT ? path : join(path, name)
      await saveTrained(language, folder, { unfuseExperts })
      await writeCard(language, folder, { kind: 'adapter' })
    }
  }

  /**
   * Base and adapter as one checkpoint, in the model's dtype, with its tokenizer: a tensor in memory at a time. It is opened again and asked what comes
   * next beside the trained model before it takes its place in the folder; what they are apart is told, and an error where it is more than rounding.
   * Weights that were computed with in NF4 are written dequantised.
   * @param tokenizer the model's own is saved, as Unsloth's notebooks have it
   * @returns what was written; null of an adapter alone (`saveMethod: 'lora'`)
   * @throws SaqrError EXPORT_MISMATCH: the folder below it named `mismatch` is not the model; FORMAT_DISK_FULL, FORMAT_FILE
   */
  async savePretrainedMerged(
    folder: string,
    tokenizer?: Tokenizer | SaveMergedOptions | null,
    options?: SaveMergedOptions,
  ): Promise<SavedMerged | null> {
    const given = tokenizer instanceof Tokenizer || tokenizer == null ? options : tokenizer
    const taken = takeOptions(given, 'savePretrainedMerged', MERGED)
    const { saveMethod = 'merged_16bit', check = true, maxShardSize: shardBytes, signal } = taken
    const path = take(folder, 'folder', filled)
    if (saveMethod === 'lora') {
      await this.savePretrained(path)
      return null
    }
    this.#keepTokens()
    const ask = check ? { tokenizer: this.tokenizer, rows: this.#asked(taken.checkTexts) } : undefined
    const saved = await saveMerged(this.language, path, { ask, shardBytes, signal })
    this.#tell(mergedLines(saved), taken.report)
    return saved
  }

  #asked(texts: readonly string[] | undefined): readonly (readonly number[])[] | undefined {
    return texts?.map((text) => this.tokenizer.encode(text)) ?? this.language.rows ?? undefined
  }

  #tell(lines: readonly string[], report = standardError.isTTY ? 'terminal' : 'none'): void {
    if (report === 'terminal') for (const line of lines) standardError.write(`${line}\n`)
  }

  /**
   * Base and adapter as GGUF files, for llama.cpp and what is built on it: written by saqr itself, a tensor in
   * memory at a time. Each file is opened again and asked what comes next beside the trained model; what they are apart is told, stands in
   * the file (saqr.trained.kl, nats) and, where it is more than the type explains, is an error. A model card and Ollama's Modelfile lie beside them. With `adapterOnly` the adapter alone, not asked.
   * @param target a folder, or with one type a file `….gguf`
   * @param tokenizer the model's own is written, as Unsloth's notebooks have it
   * @throws SaqrError EXPORT_FAMILY, EXPORT_CONFIG, EXPORT_TOKENIZER, EXPORT_ADAPTER: the model has what GGUF files can't say; EXPORT_MISMATCH; FORMAT_DISK_FULL
   */
  async savePretrainedGguf(
    target: string,
    tokenizer?: Tokenizer | SaveGgufOptions | null,
    options?: SaveGgufOptions,
  ): Promise<SavedGguf[]> {
    const given = tokenizer instanceof Tokenizer || tokenizer == null ? options : tokenizer
    const taken = takeOptions(given, 'savePretrainedGguf', GGUF, { quantization: 'quantizationMethod' })
    const { adapterOnly = false, quantizationMethod = [adapterOnly ? 'f32' : 'q8_0'], check = true, splitMaxSize, signal, report } = taken
    const path = take(target, 'target', filled)
    if (path.endsWith('.gguf') && quantizationMethod.length > 1)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('quantizationMethod')} names ${quantizationMethod.length} types, and ${path} is one file: name a folder`,
      )
    if (adapterOnly && splitMaxSize !== undefined)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('splitMaxSize')} has no effect with ${option('adapterOnly')}: an adapter is one file`,
      )
    if (adapterOnly) return this.#saveGgufAdapter(path, quantizationMethod, report)
    const rows = this.#asked(taken.checkTexts)
    const saved: SavedGguf[] = []
    for (const quantization of quantizationMethod as Quantization[]) {
      const one = await saveGguf(this.language, this.tokenizer, ggufPath(path, quantization), {
        ...{ quantization, check, rows, signal, splitBytes: splitMaxSize },
      })
      this.#tell(ggufLines(one), report)
      saved.push(one)
    }
    this.#tell(await besideGguf(this.language, this.tokenizer, path, saved), report)
    return saved
  }

  async #saveGgufAdapter(path: string, types: readonly Quantization[], report: 'terminal' | 'none' | undefined): Promise<SavedGguf[]> {
    const wrong = types.find((type) => !isAdapterType(type))
    if (wrong !== undefined)
      throw new SaqrError(
        'OPTION_INVALID',
        say`${option('quantizationMethod')} ${wrong}: an adapter alone is written in ${ADAPTER_TYPES.join(', ')}`,
      )
    const saved: SavedGguf[] = []
    for (const type of types.filter(isAdapterType)) {
      const one = await saveGgufAdapter(this.language, ggufPath(path, `${type}-lora`), type)
      this.#tell(ggufLines(one), report)
      saved.push(one)
    }
    return saved
  }

  /**
   * Saves the adapter (or all weights, where they are trained) as `savePretrained` and uploads it, with its model card.
   * @param repo owner/name on the Hub, made where there is none; a name alone is the token's owner's
   * @throws SaqrError HUB_…, and those of `savePretrained`
   */
  async pushToHub(repo: string, options?: PushToHubOptions & SaveOptions): Promise<Pushed> {
    const [push, save] = parted(takeOptions(options, 'pushToHub', { ...ADAPTER, ...PUSH }, PUSH_RENAMED))
    return pushSaved(repo, push, (folder) => this.savePretrained(folder, save))
  }

  /**
   * Saves base and adapter as one checkpoint, as `savePretrainedMerged`, and uploads it.
   * @param tokenizer the model's own is saved, as Unsloth's notebooks have it
   * @throws SaqrError HUB_…, and those of `savePretrainedMerged`
   */
  async pushToHubMerged(
    repo: string,
    tokenizer?: Tokenizer | (PushToHubOptions & SaveMergedOptions) | null,
    options?: PushToHubOptions & SaveMergedOptions,
  ): Promise<Pushed> {
    const given = tokenizer instanceof Tokenizer || tokenizer == null ? options : tokenizer
    const [push, save] = parted(takeOptions(given, 'pushToHubMerged', { ...MERGED, ...PUSH }, PUSH_RENAMED))
    return pushSaved(repo, push, (folder) => this.savePretrainedMerged(folder, { ...save, ...(push.signal && { signal: push.signal }) }))
  }

  /**
   * Writes GGUF files, as `savePretrainedGguf`, and uploads them.
   * @param tokenizer the model's own is written, as Unsloth's notebooks have it
   * @throws SaqrError HUB_…, and those of `savePretrainedGguf`
   */
  async pushToHubGguf(
    repo: string,
    tokenizer?: Tokenizer | (PushToHubOptions & SaveGgufOptions) | null,
    options?: PushToHubOptions & SaveGgufOptions,
  ): Promise<Pushed> {
    const given = tokenizer instanceof Tokenizer || tokenizer == null ? options : tokenizer
    const [push, save] = parted(
      takeOptions(given, 'pushToHubGguf', { ...GGUF, ...PUSH }, { ...PUSH_RENAMED, quantization: 'quantizationMethod' }),
    )
    return pushSaved(repo, push, (folder) => this.savePretrainedGguf(folder, { ...save, ...(push.signal && { signal: push.signal }) }))
  }

  /** trained and all parameters, as PEFT counts them */
  countParameters(): { trained: number; all: number } {
    return this.language.count()
  }

  /** Prints and returns PEFT's line: "trainable params: 4,884,480 || all params: 139,399,872 || trainable%: 3.5039" */
  printTrainableParameters(): string {
    const { trained, all } = this.language.count()
    const line = `trainable params: ${trained.toLocaleString('en')} || all params: ${all.toLocaleString('en')} || trainable%: ${((100 * trained) / all).toFixed(4)}`
    console.log(line)
    return line
  }

  /** Frees the adapter; the model that opened the base frees everything. Using it afterwards throws. */
  async dispose(): Promise<void> {
    const { language } = this
    for (const one of this.#adapters.all) one.disposeAdapter()
    if (this.#owns === 'nothing') return
    language.opened.dispose()
    if (this.#owns === 'device') language.opened.device.dispose()
  }
}
