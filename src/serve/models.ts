/** What can be asked, by name: the base, or an adapter over it. */
import type { LanguageModel } from '../engine/language-model.ts'
import { stopTokens } from '../generate/generate.ts'
import { nearest } from '../hub/nearest.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { ApiError } from './api-error.ts'
import { type ToolFormat, toolFormatOf } from './tool-format.ts'

export interface Served {
  name: string
  language: LanguageModel
  tokenizer: Tokenizer
}

export interface ServedModel extends Served {
  /** tokens that end an answer */
  stop: ReadonlySet<number>
  /** how it writes calls of tools; null: not known, calls come as text */
  toolFormat: ToolFormat | null
}

export class ServedModels {
  readonly #models: ReadonlyMap<string, ServedModel>
  readonly #created = Math.floor(Date.now() / 1000)

  constructor(models: readonly Served[]) {
    const of = (one: Served): ServedModel => ({
      ...one,
      stop: stopTokens(one.language, one.tokenizer),
      toolFormat: toolFormatOf(one.tokenizer),
    })
    this.#models = new Map(models.map((one) => [one.name, of(one)]))
  }

  get languages(): LanguageModel[] {
    return [...this.#models.values()].map(({ language }) => language)
  }

  /** @throws ApiError 404 */
  get(name: string): ServedModel {
    const found = this.#models.get(name)
    if (found) return found
    const names = [...this.#models.keys()]
    const close = nearest(name.slice(0, 200), names)
    throw new ApiError({
      status: 404,
      code: 'model_not_found',
      param: 'model',
      message: `there is no model ${JSON.stringify(name.slice(0, 200))} here: ${close ? `did you mean ${close}?` : `there is ${names.join(', ')}`}`,
    })
  }

  list() {
    return { object: 'list', data: [...this.#models.keys()].map((name) => this.describe(name)) }
  }

  /** @throws ApiError 404 */
  describe(name: string) {
    return { id: this.get(name).name, object: 'model', created: this.#created, owned_by: 'saqr' }
  }
}
