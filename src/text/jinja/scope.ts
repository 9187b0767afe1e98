/** Names and their values. A value carries which parts of messages it was made of (see provenance.ts), if any. */
import type { Value } from './values.ts'

export type Reads = ReadonlySet<string>
export const nothing: Reads = new Set()

interface Bound {
  value: Value
  reads: Reads
}

export class Scope {
  readonly #names = new Map<string, Bound>()
  readonly #outer: Scope | null

  constructor(outer: Scope | null = null) {
    this.#outer = outer
  }

  get(name: string): Bound | undefined {
    return this.#names.get(name) ?? this.#outer?.get(name)
  }

  set(name: string, value: Value, reads: Reads = nothing): void {
    this.#names.set(name, { value, reads })
  }
}
