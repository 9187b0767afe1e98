/**
 * Answers of many requests side by side: each model (the base, each adapter) has a decode loop, and models take turns. In a turn some tokens
 * of new prompts are read, of several in one pass, so that who comes is answered soon and a long prompt keeps nobody waiting; then as many texts
 * as a pass takes go on by a token, those first that have waited longest. Texts are taken in in the order they came: none starves.
 */
import { setImmediate } from 'node:timers/promises'
import type { LanguageModel } from '../engine/language-model.ts'
import { DecodeLoop, keysBytes, type Text } from '../generate/decode-loop.ts'
import { PAGE } from '../generate/decoder.ts'
import { checkPrompt, type Ending, type Question } from '../generate/generate.ts'
import type { Choice } from '../generate/sample.ts'
import { ApiError } from './api-error.ts'

/** texts of a model that go on at once */
const AT_ONCE = 32
/** tokens of new prompts that a model reads a turn, or a pass more */
const READ = PAGE
/** of two prompts the shorter is read first; a turn of waiting counts as so many tokens, so that the longest has its turn */
const TURN = PAGE / 4
/** texts of all models that wait for their turn, at most */
const MOST_WAITING = 512

/** An answer to come, and who takes its tokens. */
export interface Request extends Question {
  signal: AbortSignal
  /** @returns false: the answer ends with this token */
  take(choice: Choice): boolean
}

/** what an answer takes */
export type Size = Pick<Question, 'prompt' | 'maxNewTokens'>

interface Row {
  request: Request
  text: Text | null
  /** turns that its prompt has waited to be read whole */
  waited: number
  made: number
  next: number
  end(ending: Ending): void
  fail(error: unknown): void
}

export class Scheduler {
  readonly #lanes = new Map<LanguageModel, Lane>()
  /** that keys and values of a model may take */
  readonly #bytes: number
  #driving: Promise<void> | null = null

  /**
   * @param more models that may come beside these
   * @param reserved bytes of what is free that are another's
   */
  constructor(models: readonly LanguageModel[], more = 0, reserved = 0) {
    this.#bytes = keysBytes(Math.max(0, models[0]!.opened.device.free() - reserved)) / (models.length + more)
    for (const model of models) this.add(model)
  }

  add(model: LanguageModel): void {
    this.#lanes.set(model, new Lane(model, this.#bytes))
  }

  /** has it answers under way, or waiting? */
  isBusy(model: LanguageModel): boolean {
    return this.#lanes.get(model)?.busy ?? false
  }

  /** of a model that is not busy: frees its keys and values */
  remove(model: LanguageModel): void {
    this.#lanes.get(model)?.dispose()
    this.#lanes.delete(model)
  }

  /** @throws ApiError 503, SaqrError TEXT_EMPTY, TEXT_TOO_LONG, MODEL_VOCABULARY, MEMORY_REFUSED for an answer that can't be begun */
  check(model: LanguageModel, questions: readonly Size[]): void {
    for (const question of questions) this.#lanes.get(model)!.check(question)
    const waiting = [...this.#lanes.values()].reduce((sum, lane) => sum + lane.waiting, 0)
    if (waiting + questions.length > MOST_WAITING)
      throw new ApiError({
        status: 503,
        code: 'overloaded',
        message: `${waiting} answers wait for their turn already: ask again later`,
        headers: { 'retry-after': '1' },
      })
  }

  /** Resolves when the answer has ended; rejects with the signal's reason where that comes first. */
  answer(model: LanguageModel, request: Request): Promise<Ending> {
    const answered = new Promise<Ending>((end, fail) => {
      this.#lanes.get(model)!.add({ request, text: null, waited: 0, made: 0, next: 0, end, fail })
    })
    this.#driving ??= this.#drive()
    return answered
  }

  /** Frees keys and values, when the answers under way have ended. */
  async dispose(): Promise<void> {
    await this.#driving
    for (const lane of this.#lanes.values()) lane.dispose()
  }

  async #drive(): Promise<void> {
    while ([...this.#lanes.values()].some((lane) => lane.busy)) {
      for (const lane of this.#lanes.values()) if (lane.busy) await lane.turn()
      // who came meanwhile, and who went
      await setImmediate()
    }
    this.#driving = null
  }
}

class Lane {
  readonly #model: LanguageModel
  readonly #loop: DecodeLoop
  #waiting: Row[] = []
  #active: Row[] = []

  constructor(model: LanguageModel, bytes: number) {
    this.#model = model
    this.#loop = new DecodeLoop(model, bytes, true)
  }

  get waiting(): number {
    return this.#waiting.length
  }

  get busy(): boolean {
    return this.#waiting.length + this.#active.length > 0
  }

  check(question: Size): void {
    checkPrompt(this.#model, question.prompt, 'the prompt')
    this.#loop.fits(this.#lengthOf(question))
  }

  add(row: Row): void {
    this.#waiting.push(row)
  }

  dispose(): void {
    this.#loop.dispose()
  }

  /** A part of the prompts that wait, then a token for the texts that have waited longest. */
  async turn(): Promise<void> {
    try {
      this.#forgetGone()
      await this.#readNew()
      this.#forgetGone()
      const going = this.#active.filter(({ text }) => text!.whole).slice(0, this.#loop.together)
      if (going.length === 0) return
      await this.#loop.step(going.map(({ text, next }) => [text!, next] as const))
      this.#active = [...this.#active.filter((row) => !going.includes(row)), ...going]
      for (const row of going) this.#choose(row)
    } catch (error) {
      // the device failed, and no one can say for whom
      for (const row of this.#active) this.#leave(row, () => row.fail(error))
    }
  }

  /** Parts of several prompts are read in one pass, the shortest first; each text has its first token as soon as its prompt is read. */
  async #readNew(): Promise<void> {
    for (let read = 0; read < READ; ) {
      this.#takeIn()
      const rows = this.#active.filter(({ text }) => !text!.whole)
      if (rows.length === 0) return
      const left = ({ request, text, waited }: Row) => request.prompt.length - text!.read - TURN * waited
      rows.sort((a, b) => left(a) - left(b))
      read += await this.#loop.read(rows.map(({ text }) => text!))
      for (const row of rows) if (row.text!.whole) this.#choose(row)
    }
    for (const row of this.#active) if (!row.text!.whole) row.waited++
  }

  /** in the order they came, as many as there is room for */
  #takeIn(): void {
    while (this.#waiting.length > 0 && this.#active.length < AT_ONCE) {
      const row = this.#waiting[0]!
      const { prompt, sampler } = row.request
      const length = this.#lengthOf(row.request)
      if (!this.#loop.fits(length)) return
      this.#waiting.shift()
      row.text = this.#loop.begin(prompt, length, sampler.plain)
      this.#active.push(row)
    }
  }

  #choose(row: Row): void {
    const { request, text } = row
    try {
      const choice = request.sampler.after(text!)
      if (request.stop.has(choice.id)) {
        this.#leave(row, () => row.end('end'))
        return
      }
      row.next = choice.id
      row.made++
      const goesOn = request.take(choice)
      const { maxPositions } = this.#model.opened.model
      if (!goesOn) this.#leave(row, () => row.end('stop'))
      else if (row.made === request.maxNewTokens) this.#leave(row, () => row.end('length'))
      else if (request.prompt.length + row.made === maxPositions) this.#leave(row, () => row.end('positions'))
    } catch (error) {
      this.#leave(row, () => row.fail(error))
    }
  }

  #forgetGone(): void {
    for (const row of [...this.#active, ...this.#waiting]) {
      const { signal } = row.request
      if (signal.aborted) this.#leave(row, () => row.fail(signal.reason))
    }
  }

  #leave(row: Row, settle: () => void): void {
    this.#active = this.#active.filter((one) => one !== row)
    this.#waiting = this.#waiting.filter((one) => one !== row)
    if (row.text) this.#loop.remove(row.text, true)
    settle()
  }

  #lengthOf({ prompt, maxNewTokens }: Size): number {
    return Math.min(prompt.length + maxNewTokens, this.#model.opened.model.maxPositions)
  }
}
