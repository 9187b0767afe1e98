/** Texts of JSON values that stand one after the other, on one line or over several, as Arrow's reader takes them. */
import { isInk } from './blank.ts'

const [QUOTE, BACKSLASH, OPEN, CLOSE, LIST, LIST_END] = ['"', '\\', '{', '}', '[', ']'].map((c) => c.charCodeAt(0))

export class Objects {
  /** of a value that has no end yet */
  #begun: string[] = []
  #depth = 0
  #inText = false
  #escaped = false

  /** A value has begun and not ended. */
  get isOpen(): boolean {
    return this.#depth > 0
  }

  /** Whole values that end in this text; undefined where anything but objects and lists stands between them. */
  take(text: string): string[] | undefined {
    const whole: string[] = []
    let from = 0
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i)
      if (this.#inText) this.#inside(c)
      else if (c === OPEN || c === LIST) {
        if (this.#depth++ === 0) from = i
      } else if (this.#depth === 0) {
        if (isInk(c)) return undefined
      } else if (c === QUOTE) this.#inText = true
      else if ((c === CLOSE || c === LIST_END) && --this.#depth === 0) {
        whole.push([...this.#begun, text.slice(from, i + 1)].join(''))
        this.#begun = []
      }
    }
    if (this.isOpen) this.#begun.push(text.slice(from))
    return whole
  }

  #inside(c: number): void {
    if (this.#escaped) this.#escaped = false
    else if (c === BACKSLASH) this.#escaped = true
    else if (c === QUOTE) this.#inText = false
  }
}
