/** One answer as it grows: tokens in, text out, up to a stop string. */

import type { Ending } from '../generate/generate.ts'
import type { Choice } from '../generate/sample.ts'
import { StopStrings } from '../generate/stop-strings.ts'
import type { TextStream } from '../text/text-stream.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

export class Answer {
  readonly #stream: TextStream
  readonly #stops: StopStrings
  #stopped = false
  /** tokens so far */
  tokens = 0

  /** @param special tokens that are written out too: some begin calls of tools */
  constructor(tokenizer: Tokenizer, stops: readonly string[], special = false) {
    this.#stream = tokenizer.stream({ skipSpecialTokens: !special })
    this.#stops = new StopStrings(stops)
  }

  /** @returns text that is complete with this token, and whether a stop string ended it */
  push(choice: Choice): { text: string; stopped: boolean } {
    this.tokens++
    const pushed = this.#stops.push(this.#stream.push(choice.id))
    this.#stopped = pushed.stopped
    return pushed
  }

  /** what was held back */
  end(): string {
    if (this.#stopped) return ''
    const { text, stopped } = this.#stops.push(this.#stream.end())
    this.#stopped = stopped
    return text + this.#stops.end()
  }

  /** why it ended, as OpenAI says it; a last character may still have met a stop string */
  reason(ending: Ending): 'stop' | 'length' {
    return this.#stopped || ending === 'end' || ending === 'stop' ? 'stop' : 'length'
  }
}
