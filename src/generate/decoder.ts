/** What decoding has on the device: keys and values in pages, and the plans that read new tokens into them, a plan for each count of tokens. */
import type { Device, LoadedPlan } from '../devices/device.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { asF32, asU16, bf16ToF32 } from '../formats/numbers.ts'
import { type GenerationSpec, generationPlan, generationTrace } from '../graph/generation.ts'
import type { WeightSpec } from '../graph/trace.ts'
import { sizeOf } from '../ops/tensor.ts'

/** tokens of a page, and of a prompt read at once: where blocks end never depends on what a text shares with another */
export const PAGE = 128
/** tokens of a pass: of texts that go on by one each, whose logits are all wanted, and of a part of one prompt */
export const TOGETHER = 8
const SIZES = [1, 2, 4, TOGETHER, 16, 32, 64, PAGE]
let caches = 0

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

interface Loaded {
  plan: LoadedPlan
  logits: string
}

export class Decoder {
  readonly #model: LanguageModel
  readonly #device: Device
  readonly #plans = new Map<number, Loaded>()
  /** in the store, of k and v of each block */
  #caches: readonly WeightSpec[] = []
  #scope = ''
  #pages = 0
  #disposed = false

  constructor(model: LanguageModel) {
    this.#model = model
    this.#device = model.opened.device
  }

  /** there are on the device */
  get pages(): number {
    return this.#pages
  }

  /** bytes of a page of all blocks' keys and values */
  readonly pageBytes = (): number => {
    const { caches } = generationTrace(this.#spec(1, 1, '')).recorder
    return caches.reduce((sum, { rows, cols, dtype }) => sum + rows * cols * (dtype === 'f32' ? 4 : 2), 0)
  }

  /**
   * Makes room for so many pages; what lies in those there are stays. One cache after the other is moved: beside the pages asked for, memory
   * holds the smaller form of one of them alone.
   * @throws SaqrError MEMORY_REFUSED, with everything as it was
   */
  grow(pages: number): void {
    if (pages <= this.#pages) return
    const scope = `cache${caches++}.`
    const { recorder } = generationTrace(this.#spec(1, pages, scope))
    const [before, after] = [this.#caches, recorder.caches]
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

  /** Reads tokens into the cache. @returns logits (V) of what follows each of the tokens that `wanted` numbers */
  async read(tokens: readonly Fresh[], wanted: readonly number[], signal?: AbortSignal): Promise<Float32Array[]> {
    const T = SIZES.find((size) => size >= tokens.length)!
    const { plan, logits } = this.#plan(T)
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
    const [bytes] = await this.#device.run([{ plan, segment: 'forward' }], inputs, { signal, read: [logits] })
    const all: Float32Array = this.#model.opened.choice.dtype === 'f32' ? asF32(bytes!) : bf16ToF32(asU16(bytes!))
    const { vocab } = this.#model.opened.model
    return wanted.map((_, i) => all.subarray(i * vocab, (i + 1) * vocab))
  }

  #plan(tokens: number): Loaded {
    const known = this.#plans.get(tokens)
    if (known) return known
    const { plan, logits } = generationPlan(this.#spec(tokens, this.#pages, this.#scope))
    const loaded = { plan: this.#device.load(plan), logits }
    this.#plans.set(tokens, loaded)
    return loaded
  }

  #spec(tokens: number, pages: number, scope: string): GenerationSpec {
    const { opened, spec, trained } = this.#model
    return {
      model: opened.model,
      adapter: opened.adapter(spec, false),
      activation: opened.choice.dtype,
      layout: trained?.layout,
      cache: { pages, page: PAGE, scope },
      scratch: this.#device.describe().scratch,
      tokens,
      wanted: tokens <= TOGETHER ? tokens : 1,
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
