/** Keys and values of one conversation on the device, and the two plans that go on with it: blocks of a prompt, one token. */
import type { Device, LoadedPlan } from '../devices/device.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { storing } from '../engine/storing.ts'
import { asF32, asU16, bf16ToF32 } from '../formats/numbers.ts'
import { generationPlan } from '../graph/generation.ts'

/** tokens of a prompt read at once */
const BLOCK = 128
let conversations = 0

interface Loaded {
  plan: LoadedPlan
  logits: string
}

export class Decoder {
  readonly #device: Device
  readonly #dtype: 'f32' | 'bf16'
  readonly #block: Loaded
  readonly #one: Loaded
  readonly #caches: string[]
  readonly #mask: Record<string, Int32Array>
  readonly #longBeyond: number
  /** what has been read, and whether keys are those of a long conversation */
  #ids: number[] = []
  #length = 0
  #long = 0

  /** @param tokens that prompt and answer have at most */
  constructor(model: LanguageModel, tokens: number) {
    const { opened } = model
    this.#device = opened.device
    this.#dtype = opened.choice.dtype
    const size = Math.ceil(tokens / BLOCK) * BLOCK
    const cache = { size, scope: `conversation${conversations++}.` }
    const adapter = opened.adapter(model.spec, false)
    const { scratch } = this.#device.describe()
    const spec = { model: opened.model, adapter, activation: opened.choice.dtype, layout: model.trained?.layout, cache, scratch }
    const make = (tokens: number) => generationPlan({ ...spec, tokens })
    const plans = [make(BLOCK), make(1)]
    const { caches } = plans[0]!.recorder
    this.#caches = caches.map(({ name }) => name)
    const [block, one] = storing(this.#device, (store) => {
      for (const { name, rows, cols, dtype } of caches) store(name, { rows, cols, dtype, source: { kind: 'zero' } })
      const loaded: Loaded[] = []
      try {
        for (const { plan, logits } of plans) loaded.push({ plan: this.#device.load(plan), logits })
      } catch (error) {
        for (const { plan } of loaded) plan.dispose()
        throw error
      }
      return loaded
    })
    this.#block = block!
    this.#one = one!
    const positions = Int32Array.from({ length: size }, (_, i) => i)
    this.#longBeyond = opened.model.longBeyond ?? Number.POSITIVE_INFINITY
    this.#mask = { depth: positions, visibleFrom: positions, visibleUntil: new Int32Array(size).fill(size) }
  }

  /** Reads tokens; logits (V) of what follows the last. One that makes the conversation long (`Model.longBeyond`) has all of it read anew. */
  async read(next: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    this.#ids.push(...next)
    const long = Number(this.#ids.length > this.#longBeyond)
    if (long !== this.#long) this.#length = 0
    this.#long = long
    const ids = this.#ids.slice(this.#length)
    let logits: Float32Array = new Float32Array(0)
    for (let at = 0; at < ids.length; ) {
      const left = ids.length - at
      const count = left === 1 ? 1 : Math.min(BLOCK, left)
      logits = await this.#run(left === 1 ? this.#one : this.#block, ids.slice(at, at + count), signal)
      at += count
    }
    return logits
  }

  async #run({ plan, logits }: Loaded, ids: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    const T = plan.plan.tokens
    const start = this.#length
    // tokens past the prompt's end are written where the next ones will be, and seen by nobody before
    const inputs = {
      ...this.#mask,
      ids: Int32Array.from({ length: T }, (_, i) => ids[i] ?? 0),
      position: Int32Array.from({ length: T }, (_, i) => start + i),
      long: new Int32Array(T).fill(this.#long),
      queryStart: Int32Array.of(start),
      headPositions: Int32Array.from({ length: T }, () => ids.length - 1),
      headCount: Int32Array.of(1),
      cursor: Int32Array.of(0),
    }
    const [bytes] = await this.#device.run([{ plan, segment: 'forward' }], inputs, { signal, read: [logits] })
    this.#length += ids.length
    return this.#dtype === 'f32' ? asF32(bytes!) : bf16ToF32(asU16(bytes!))
  }

  dispose(): void {
    this.#block.plan.dispose()
    this.#one.plan.dispose()
    for (const name of this.#caches) this.#device.drop(name)
  }
}
