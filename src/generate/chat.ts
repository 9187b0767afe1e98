/** A conversation: what was said, and its keys and values on the device, so that a turn costs what is new in it. */

import type { LanguageModel } from '../engine/language-model.ts'
import { withoutAdapter } from '../engine/without-adapter.ts'
import { SaqrError } from '../error.ts'
import type { Message } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { DecodeLoop } from './decode-loop.ts'
import { type AskOptions, type Ending, type GenerateOptions, generate } from './generate.ts'

/** Options of PretrainedModel.chat: those of generate that hold for a whole conversation. */
export type ChatSettings = Omit<GenerateOptions & AskOptions, 'chat' | 'signal' | 'logprobs' | 'topLogprobs'>

/** A conversation, begun by PretrainedModel.chat: what was said, and the keys and values of it. */
export class Chat {
  readonly #language: LanguageModel
  readonly #tokenizer: Tokenizer
  readonly #settings: ChatSettings
  /** of the model with its adapter, and of its base: their keys differ */
  readonly #loops = new Map<LanguageModel, DecodeLoop>()
  #messages: Message[] = []
  #speaks: LanguageModel
  #busy = false
  #disposed = false
  /** the system message; null: none */
  system: string | null

  /** @throws SaqrError TEXT_NO_TEMPLATE */
  constructor(language: LanguageModel, tokenizer: Tokenizer, { system = null, adapter = true, ...settings }: ChatSettings = {}) {
    language.alive()
    tokenizer.namesRole('user')
    this.#language = language
    this.#tokenizer = tokenizer
    this.#settings = settings
    this.system = system
    this.#speaks = adapter ? language : withoutAdapter(language)
  }

  /** what was said so far, the system message first */
  get messages(): readonly Message[] {
    return [...(this.system === null ? [] : [{ role: 'system', content: this.system }]), ...this.#messages]
  }

  /** does the adapter speak (true), or the base without it? */
  get adapter(): boolean {
    return this.#speaks === this.#language
  }

  /** @throws SaqrError OPTION_INVALID where there is no adapter */
  set adapter(speaks: boolean) {
    this.#speaks = speaks ? this.#language : withoutAdapter(this.#language)
  }

  /**
   * The answer to a message, piece by piece. An answer that is stopped (`signal`, or the loop over it is left) stays in the conversation as
   * far as it came; a message that got none is forgotten.
   * @throws SaqrError TEXT_…, MODEL_DISPOSED, CHAT_BUSY while another answer is under way
   */
  async *send(message: string, signal?: AbortSignal): AsyncGenerator<string, Ending> {
    if (this.#disposed) throw new SaqrError('MODEL_DISPOSED', 'this chat was disposed of: begin another')
    if (this.#busy) throw new SaqrError('CHAT_BUSY', 'an answer is under way: read it to its end, or stop it, before the next message')
    this.#busy = true
    const said = [...this.#messages, { role: 'user', content: message }]
    const prompt = [...(this.system === null ? [] : [{ role: 'system', content: this.system }]), ...said]
    let answer = ''
    let ended = false
    try {
      const loop = this.#loops.get(this.#speaks) ?? new DecodeLoop(this.#speaks)
      this.#loops.set(this.#speaks, loop)
      const pieces = generate(this.#speaks, this.#tokenizer, prompt, { ...this.#settings, signal }, loop)
      try {
        let next = await pieces.next()
        for (; !next.done; next = await pieces.next()) {
          answer += next.value
          yield next.value
        }
        ended = true
        return next.value
      } finally {
        await pieces.return('end')
      }
    } finally {
      this.#busy = false
      if (ended || answer !== '') this.#messages = [...said, { role: 'assistant', content: answer }]
      if (this.#disposed) this.#free()
    }
  }

  /** Forgets what was said; the system message stays. @throws SaqrError CHAT_BUSY while an answer is under way, which would come back */
  reset(): void {
    if (this.#busy)
      throw new SaqrError('CHAT_BUSY', 'an answer is under way: read it to its end, or stop it, before the conversation begins anew')
    this.#messages = []
  }

  /** Frees its keys and values; the model stays. */
  dispose(): void {
    this.#disposed = true
    if (!this.#busy) this.#free()
  }

  #free(): void {
    for (const loop of this.#loops.values()) loop.dispose()
    this.#loops.clear()
  }
}
