/** Scores of a reference that are kept of examples: by who they are, or, of those on disk, which are made anew whenever they are asked for, by where they stand. */
import type { Example } from '../../data/example.ts'
import type { Pass } from '../../data/passes.ts'
import type { PassScores } from '../../engine/runner.ts'
import type { LaidOut, Reference } from './objective.ts'

interface OfList {
  /** a list's, `width` of each item */
  scores: Float64Array
  known: Uint8Array
}

type Numbers = (pass: Pass, scores: PassScores, laid: LaidOut) => Iterable<readonly [example: number, numbers: readonly number[]]>

export class KeptScores implements Reference {
  readonly width: number
  readonly #of: Numbers
  readonly #scores = new WeakMap<Example, Float64Array>()
  readonly #lists = new WeakMap<object, OfList>()

  /** @param width numbers of an example. @param of what a pass says of each of its examples */
  constructor(width: number, of: Numbers) {
    this.width = width
    this.#of = of
  }

  has(example: Example): boolean {
    const { place } = example
    return place ? this.#lists.get(place.of)?.known[place.i] === 1 : this.#scores.has(example)
  }

  keep(pass: Pass, scores: PassScores, laid: LaidOut): void {
    for (const [example, numbers] of this.#of(pass, scores, laid)) this.set(laid.examples[example]!, numbers)
  }

  get(example: Example): Float64Array {
    if (!this.has(example)) throw new Error(`${example.source}, row ${example.row} has no score of the reference`)
    const { place } = example
    if (!place) return this.#scores.get(example)!
    return this.#lists.get(place.of)!.scores.subarray(this.width * place.i, this.width * (place.i + 1))
  }

  set(example: Example, scores: readonly number[]): void {
    if (this.has(example)) return
    const { place } = example
    if (!place) {
      this.#scores.set(example, Float64Array.from(scores))
      return
    }
    let all = this.#lists.get(place.of)
    if (!all) {
      const { length } = place.of
      this.#lists.set(place.of, (all = { scores: new Float64Array(this.width * length), known: new Uint8Array(length) }))
    }
    all.scores.set(scores, this.width * place.i)
    all.known[place.i] = 1
  }
}
