/** What can be asked, by name: the base, or an adapter over it. */
import type { LanguageModel } from '../engine/language-model.ts'
import { stopTokens } from '../generate/generate.ts'
import { nearest } from '../hub/nearest.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { ApiError } from './api-error.ts'
import type { FineTuned } from './fine-tuned.ts'
import { type AnswerForm, answerForm } from './tool-format.ts'

export interface Served {
  name: string
  language: LanguageModel
  tokenizer: Tokenizer
}

export interface ServedModel extends Served {
  /** tokens that end an answer */
  stop: ReadonlySet<number>
  /** how its answers are read, and how its template takes earlier calls */
  form: AnswerForm
}

export function asServed(one: Served): ServedModel {
  return { ...one, stop: stopTokens(one.language, one.tokenizer), form: answerForm(one.tokenizer) }
}

export class ServedModels {
  readonly #models: ReadonlyMap<string, ServedModel>
  readonly #created = Math.floor(Date.now() / 1000)
  /** those that jobs made */
  fineTuned: FineTuned | null = null

  constructor(models: readonly Served[]) {
    this.#models = new Map(models.map((one) => [one.name, asServed(one)]))
  }

  get languages(): LanguageModel[] {
    return [...this.#models.values()].map(({ language }) => language)
  }

  /** @throws ApiError 404, 503; SaqrError FORMAT_… */
  async get(name: string): Promise<ServedModel> {
    const found = this.#models.get(name) ?? (await this.fineTuned?.get(name))
    if (found) return found
    throw this.#none(name)
  }

  list() {
    return { object: 'list', data: this.#names.map((name) => this.describe(name)) }
  }

  /** @throws ApiError 404 */
  describe(name: string) {
    const created = this.#models.has(name) ? this.#created : this.fineTuned?.names.get(name)?.created
    if (created === undefined) throw this.#none(name)
    return { id: name, object: 'model', created, owned_by: 'saqr' }
  }

  /** @throws ApiError 400 for what the server was started with, 404; SaqrError JOB_STATE while a job begins from it */
  delete(name: string) {
    this.describe(name)
    if (this.#models.has(name))
      throw new ApiError({
        status: 400,
        code: 'invalid_value',
        param: 'model',
        message: `${name} is served from the start: only models of jobs can be deleted`,
      })
    this.fineTuned!.delete(name)
    return { id: name, object: 'model', deleted: true }
  }

  get #names(): string[] {
    return [...this.#models.keys(), ...(this.fineTuned?.names.keys() ?? [])]
  }

  #none(name: string): ApiError {
    const names = this.#names
    const close = nearest(name.slice(0, 200), names)
    return new ApiError({
      status: 404,
      code: 'model_not_found',
      param: 'model',
      message: `there is no model ${JSON.stringify(name.slice(0, 200))} here: ${close ? `did you mean ${close}?` : `there is ${names.join(', ')}`}`,
    })
  }
}
