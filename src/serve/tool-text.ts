/** An answer that may call tools, piece by piece: what is text goes on at once, what may be a call is held back until it is known. */
import type { Call, ToolFormat, Tools } from './tool-notations.ts'

/** Text of an answer as it comes, special tokens too. */
export interface ReadText {
  /** text that may be given out now */
  push(piece: string): string
  end(): { text: string; calls: Call[] }
}

export class ToolText implements ReadText {
  readonly #format: ToolFormat
  readonly #tools: Tools
  #held = ''
  /** plain: it can't become a call any more */
  #state: 'open' | 'call' | 'plain' = 'open'

  /** @param tools an object of JSON alone is a call only where it names one */
  constructor(format: ToolFormat, tools: Tools) {
    this.#format = format
    this.#tools = tools
  }

  push(piece: string): string {
    if (this.#state === 'plain') return piece
    this.#held += piece
    if (this.#state === 'call') return ''
    return this.#format.mark === null ? this.#whole() : this.#marked(this.#format.mark)
  }

  end(): { text: string; calls: Call[] } {
    const held = this.#held
    this.#held = ''
    const calls = this.#state === 'call' ? this.#format.parse(held, this.#tools) : null
    const known = calls !== null && (this.#format.mark !== null || calls.every(({ name }) => this.#tools.has(name)))
    return known ? { text: '', calls } : { text: held, calls: [] }
  }

  /** a call is all of the answer */
  #whole(): string {
    const tag = '<|python_tag|>'
    const begun = this.#held.trimStart()
    if (begun === '' || (tag.startsWith(begun) && begun !== tag)) return ''
    if (begun.startsWith('{') || begun.startsWith(tag)) {
      this.#state = 'call'
      return ''
    }
    this.#state = 'plain'
    return this.#giveOut(this.#held.length)
  }

  #marked(mark: string): string {
    const at = this.#held.indexOf(mark)
    if (at !== -1) {
      this.#state = 'call'
      return this.#giveOut(at)
    }
    let begun = Math.min(mark.length - 1, this.#held.length)
    while (begun > 0 && !this.#held.endsWith(mark.slice(0, begun))) begun--
    return this.#giveOut(this.#held.length - begun)
  }

  #giveOut(length: number): string {
    const text = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    return text
  }
}
