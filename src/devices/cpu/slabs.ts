/**
 * Memory of tensors that are each too small for huge pages: side by side in slabs that have them. Fewer pages are made, and a token of
 * SmolLM2 takes 11 ms instead of 16 (bench/results/decode-cpu.txt).
 */
import { SaqrError } from '../../error.ts'
import type { Native } from './library.ts'

/** bytes of a slab: a multiple of a huge page, and enough of them that the library asks for them (native/memory.cpp) */
const SLAB = 8 << 20
/** from here on a tensor has pages of its own */
const LARGE = 4 << 20
/** where one begins: at a cache line, and no vector crosses into the next one's */
const ALIGN = 256

interface Slab {
  address: bigint
  /** bytes given out, from the start */
  end: number
  /** tensors in it */
  live: number
}

/** Bytes of a store tensor: `free` gives them back once. */
export interface Room {
  address: bigint
  free(): void
}

export class Slabs {
  readonly #native: Native
  /** the one that is filled */
  #open: Slab | undefined

  constructor(native: Native) {
    this.#native = native
  }

  /** zeros. @throws SaqrError MEMORY_REFUSED */
  take(bytes: number): Room {
    if (bytes >= LARGE) {
      const address = this.#alloc(bytes)
      return { address, free: () => this.#native.free(address, bytes) }
    }
    const size = Math.ceil(Math.max(bytes, 1) / ALIGN) * ALIGN
    if (!this.#open || this.#open.end + size > SLAB) this.#open = { address: this.#alloc(SLAB), end: 0, live: 0 }
    const slab = this.#open
    const address = slab.address + BigInt(slab.end)
    slab.end += size
    slab.live++
    return { address, free: () => this.#leave(slab) }
  }

  /** a slab goes when its last tensor does: what is given out is never given out again, so that all of it is zeros */
  #leave(slab: Slab): void {
    if (--slab.live > 0) return
    if (slab === this.#open) this.#open = undefined
    this.#native.free(slab.address, SLAB)
  }

  #alloc(bytes: number): bigint {
    const address = this.#native.alloc(bytes) as bigint | null
    if (!address) throw new SaqrError('MEMORY_REFUSED', `${this.#native.lastError()}`)
    return address
  }
}
