/** Adapters by name over one base, one of them active: what PEFT's PeftModel keeps in peft_config. */
import type { LanguageModel } from './engine/language-model.ts'
import { SaqrError } from './error.ts'
import { nearest } from './hub/nearest.ts'

/** what PEFT calls the one that a model begins with: it is saved in the folder itself, the others below it by their names */
export const DEFAULT = 'default'

export class NamedAdapters {
  readonly #byName = new Map<string, LanguageModel>()
  #active = DEFAULT

  constructor(first: LanguageModel) {
    this.#byName.set(DEFAULT, first)
  }

  get active(): string {
    return this.#active
  }

  get current(): LanguageModel {
    return this.#byName.get(this.#active)!
  }

  get names(): string[] {
    return [...this.#byName.keys()]
  }

  get all(): LanguageModel[] {
    return [...this.#byName.values()]
  }

  /** @throws SaqrError OPTION_INVALID */
  get(name: string): LanguageModel {
    const found = this.#byName.get(name)
    if (found) return found
    const close = nearest(name, this.names)
    throw new SaqrError(
      'OPTION_INVALID',
      `there is no adapter ${JSON.stringify(name)}: ${close ? `did you mean ${close}?` : `there is ${this.names.join(', ')}`}`,
    )
  }

  /** @throws SaqrError OPTION_INVALID for a name that is taken, or that can't be a folder's */
  checkFree(name: string): void {
    if (this.#byName.has(name))
      throw new SaqrError(
        'OPTION_INVALID',
        `an adapter is named ${JSON.stringify(name)} already: take another name, or deleteAdapter first`,
      )
    if (!/^\w[\w-]*$/.test(name))
      throw new SaqrError(
        'OPTION_INVALID',
        `an adapter's name is that of the folder it is saved in, of letters, digits, _ and -, not ${JSON.stringify(name)}`,
      )
  }

  add(name: string, adapter: LanguageModel): void {
    this.checkFree(name)
    this.#byName.set(name, adapter)
  }

  /** @throws SaqrError OPTION_INVALID */
  activate(name: string): void {
    this.get(name)
    this.#active = name
  }

  /** Frees it; where it was active the first of the others is. @throws SaqrError OPTION_INVALID, also for the last one; MODEL_TRAINING */
  delete(name: string): void {
    const gone = this.get(name)
    if (this.#byName.size === 1)
      throw new SaqrError(
        'OPTION_INVALID',
        `${JSON.stringify(name)} is the only adapter of this model: dispose of the model, which leaves the base as it is`,
      )
    if (gone.opened.training.has(gone))
      throw new SaqrError('MODEL_TRAINING', `a run trains ${JSON.stringify(name)}: stop it, or delete the adapter once that has ended`)
    this.#byName.delete(name)
    if (this.#active === name) this.#active = this.names[0]!
    gone.disposeAdapter()
  }

  /** the only one becomes another, its vocabulary resized */
  replace(model: LanguageModel): void {
    this.#byName.set(this.#active, model)
  }
}
