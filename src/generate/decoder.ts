/** What decoding has on the device: keys and values in pages, and the plans that read new tokens into them, a plan for each count of tokens. */
import type { Device, LoadedPlan } from '../devices/device.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { asF32, asU16, bf16ToF32 } from '../formats/numbers.ts'
import { type GenerationSpec, generationPlan } from '../graph/generation.ts'
import type { WeightSpec } from '../graph/trace.ts'
import { sizeOf } from '../ops/tensor.ts'

/** tokens of a page, and of a prompt read at once: where blocks end never depends on what a text shares with another */
export const PAGE = 128
/** texts that go on by one token each in a pass, where the device doesn't say (`generationRows`): up to so many rows a product has one order of sums */
const TOGETHER = 8
/** tokens that passes have room for, where the device doesn't say; prompts of several texts are read in the largest (`room`) */
const SIZES = [1, 2, 4, TOGETHER, 16, 32, 48, 64, 96, PAGE, 192, 2 * PAGE]
let caches = 0
const NONE = new Float32Array(0)

/** A token that is new to its text. */
export interface Fresh {
  id: number
  /** of the token in its text */
  position: number
  /** of the text */
  pages: readonly number[]
  /** the text is a long one (`Model.longBeyond`) */
  long: boolean
}

/** What follows a token. */
export interface Next {
  /** −1: the logits are no numbers, or without an end */
  likeliest: number
  /** (V); empty where nobody asked for them */
  logits: Float32Array
}

interface Loaded {
  plan: LoadedPlan
  logits: string
  likeliest: string
}

export class Decoder {
  readonly #model: LanguageModel
  readonly #device: Device
  /** by room and how many tokens' logits it gives */
  readonly #plans = new Map<string, Loaded>()
  /** in the store, of k and v of each block */
  /** the caches of a page, named without a scope */
  readonly #page: readonly WeightSpec[]
  #caches: readonly WeightSpec[] = []
  #scope = ''
  #pages = 0
  #disposed = false
  /** texts that go on in a pass */
  readonly together: number
  /** a token's numbers depend on how many its pass has room for: `together` for those that go on, a page for those of a prompt */
  readonly sized: boolean
  /** tokens of prompts that a pass reads at the most; parts of several texts, where their numbers don't depend on who stands beside them */
  readonly room: number
  /** parts of several prompts may be one pass */
  readonly joins: boolean
  /** bytes of a page of all blocks' keys and values */
  readonly pageBytes: number
  readonly #sizes: readonly number[]

  constructor(model: LanguageModel) {
    this.#model = model
    this.#device = model.opened.device
    const { generationRows } = this.#device.describe()
    this.sized = generationRows !== undefined
    this.together = generationRows ?? TOGETHER
    this.#sizes = this.sized ? [this.together, PAGE] : SIZES
    const { attended, nodes } = model.recorder
    this.#page = [...attended].map(([name, token]) => ({ name, rows: PAGE, ...token }))
    this.pageBytes = this.#page.reduce((sum, { rows, cols, dtype }) => sum + rows * cols * (dtype === 'f32' ? 4 : 2), 0)
    this.joins = !nodes.some(({ op }) => op.rowsDepend)
    this.room = this.joins ? this.#sizes.at(-1)! : PAGE
  }

  /** there are on the device */
  get pages(): number {
    return this.#pages
  }

  /**
   * Makes room for so many pages; what lies in those there are stays. One cache after the other is moved: beside the pages asked for, memory
   * holds the smaller form of one of them alone.
   * @throws SaqrError MEMORY_REFUSED, with everything as it was
   */
  grow(pages: number): void {
    if (pages <= this.#pages) return
    const scope = `cache${caches++}.`
    const before = this.#caches
    const after = this.#page.map((cache) => ({ ...cache, name: `${scope}${cache.name}`, rows: pages * cache.rows }))
    this.#unload()
    let moved = 0
    try {
      for (; moved < after.length; moved++) this.#enlarge(before[moved], after[moved]!)
    } catch (error) {
      // a smaller one lies where the larger lay
      while (moved-- > 0) this.#reduce(after[moved]!, before[moved])
      throw error
    }
    this.#caches = after
    this.#scope = scope
    this.#pages = pages
  }

  /** Texts go on by a token each, `together` at the most. @param logits of all texts are wanted, not the likeliest token alone */
  goOn(tokens: readonly Fresh[], logits: boolean, signal?: AbortSignal): Promise<Next[]> {
    const size = this.sized ? this.together : this.#sizes.find((size) => size >= tokens.length)!
    return this.#read(tokens, tokens.map((_, i) => i), size, logits, signal) // biome-ignore format: short
  }

  /**
   * Reads a part of each of some prompts: `together` parts and `room` tokens at the most, one part alone where nothing `joins`.
   * @returns what follows the last token of each
   */
  readParts(parts: readonly (readonly Fresh[])[], logits: boolean, signal?: AbortSignal): Promise<Next[]> {
    const tokens = parts.flat()
    const size = this.sized ? PAGE : this.#sizes.find((size) => size >= tokens.length)!
    let end = -1
    const last = parts.map((part) => (end += part.length))
    return this.#read(tokens, last, size, logits, signal)
  }

  /** Reads tokens into the cache, in a pass that has room for T. @returns what follows each of the tokens that `wanted` numbers */
  async #read(tokens: readonly Fresh[], wanted: readonly number[], T: number, whole: boolean, signal?: AbortSignal): Promise<Next[]> {
    // sized: a head's rows too are as many in every pass
    const rows = T <= this.together ? T : wanted.length === 1 && !this.sized ? 1 : this.together
    const { plan, logits, likeliest } = this.#plan(T, rows)
    const each = (of: (token: Fresh) => number, none: number) =>
      Int32Array.from({ length: T }, (_, t) => (t < tokens.length ? of(tokens[t]!) : none))
    const pages = new Int32Array(T * this.#pages)
    for (const [t, token] of tokens.entries()) pages.set(token.pages, t * this.#pages)
    const inputs = {
      ids: each(({ id }) => id, 0),
      // the rest of a pass is no token of any text
      position: each(({ position }) => position, -1),
      slot: each(({ position, pages }) => pages[Math.floor(position / PAGE)]! * PAGE + (position % PAGE), -1),
      long: each(({ long }) => Number(long), 0),
      pages,
      headPositions: Int32Array.from({ length: T }, (_, i) => wanted[i] ?? 0),
      headCount: Int32Array.of(wanted.length),
      cursor: Int32Array.of(0),
    }
    const read = whole ? [likeliest, logits] : [likeliest]
    const [first, bytes] = await this.#device.run([{ plan, segment: 'forward' }], inputs, { signal, read })
    const ids = new Int32Array(first!.buffer, first!.byteOffset, wanted.length)
    const { vocab } = this.#model.opened.model
    const row = (i: number) => {
      if (!bytes) return NONE
      const [from, to] = [i * vocab, (i + 1) * vocab]
      return this.#model.opened.choice.dtype === 'f32' ? asF32(bytes).subarray(from, to) : bf16ToF32(asU16(bytes).subarray(from, to))
    }
    return wanted.map((_, i) => ({ likeliest: ids[i]!, logits: row(i) }))
  }

  #plan(tokens: number, wanted: number): Loaded {
    const key = `${tokens} ${wanted}`
    const known = this.#plans.get(key)
    if (known) return known
    const { plan, ...names } = generationPlan(this.#spec(tokens, wanted, this.#pages, this.#scope))
    const loaded = { plan: this.#device.load(plan), ...names }
    this.#plans.set(key, loaded)
    return loaded
  }

  #spec(tokens: number, wanted: number, pages: number, scope: string): GenerationSpec {
    const { opened, spec, trained } = this.#model
    return {
      model: opened.model,
      adapter: opened.adapter(spec, false),
      activation: opened.choice.dtype,
      layout: trained?.layout,
      cache: { pages, page: PAGE, scope },
      scratch: this.#device.describe().scratch,
      tokens,
      wanted,
    }
  }

  #make({ name, rows, cols, dtype }: WeightSpec): void {
    this.#device.store(name, { rows, cols, dtype, source: { kind: 'zero' } })
  }

  #enlarge(from: WeightSpec | undefined, to: WeightSpec): void {
    this.#make(to)
    if (!from) return
    this.#device.writeStore(to.name, this.#device.readStore(from.name))
    this.#device.drop(from.name)
  }

  #reduce(from: WeightSpec, to: WeightSpec | undefined): void {
    const bytes = to && this.#device.readStore(from.name, 0, sizeOf(to))
    this.#device.drop(from.name)
    if (!to) return
    this.#make(to)
    this.#device.writeStore(to.name, bytes!)
  }

  #unload(): void {
    for (const { plan } of this.#plans.values()) plan.dispose()
    this.#plans.clear()
  }

  #drop(): void {
    this.#unload()
    for (const { name } of this.#caches) this.#device.drop(name)
    this.#caches = []
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#drop()
  }
}
