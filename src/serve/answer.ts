/** One answer as it grows: tokens in, text and calls out, up to a stop string. */

import type { Ending } from '../generate/generate.ts'
import type { Choice } from '../generate/sample.ts'
import { StopStrings } from '../generate/stop-strings.ts'
import type { TextStream } from '../text/text-stream.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { Call } from './tool-notations.ts'
import type { ReadText } from './tool-text.ts'

export class Answer {
  readonly #stream: TextStream
  readonly #read: ReadText | null
  readonly #stops: StopStrings
  #stopped = false
  /** tokens so far */
  tokens = 0

  /**
   * @param stops end the text that is given out: neither thoughts nor calls, of which a reader makes none
   * @param read takes what was written apart, special tokens too, which begin calls and channels; null: all of it is text
   */
  constructor(tokenizer: Tokenizer, stops: readonly string[], read: ReadText | null = null) {
    this.#stream = tokenizer.stream({ skipSpecialTokens: read === null })
    this.#stops = new StopStrings(stops)
    this.#read = read
  }

  /** @returns text that is complete with this token, and whether a stop string ended it */
  push(choice: Choice): { text: string; stopped: boolean } {
    this.tokens++
    const written = this.#stream.push(choice.id)
    const pushed = this.#stops.push(this.#read ? this.#read.push(written) : written)
    this.#stopped = pushed.stopped
    return pushed
  }

  /** what was held back, and the calls; behind a stop string there is no text */
  end(): { text: string; calls: Call[] } {
    if (this.#stopped) return { text: '', calls: this.#read?.end().calls ?? [] }
    const written = this.#stream.end()
    const last = this.#read?.push(written) ?? written
    const rest = this.#read?.end() ?? { text: '', calls: [] }
    const { text, stopped } = this.#stops.push(last + rest.text)
    this.#stopped = stopped
    return { text: text + this.#stops.end(), calls: rest.calls }
  }

  /** why it ended, as OpenAI says it; a last character may still have met a stop string */
  reason(ending: Ending): 'stop' | 'length' {
    return this.#stopped || ending === 'end' || ending === 'stop' ? 'stop' : 'length'
  }
}
