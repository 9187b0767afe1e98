/**
 * Memory for tensors that stay, many of them: the driver rounds every allocation up to 2 MiB, which for Gemma-2-9B's weights adds up to 300 MiB
 * that no table knows. What isn't nearly whole multiples of that lies side by side in slabs; of the last one up to 32 MiB are held and not counted.
 */
import { SaqrError } from '../../error.ts'

/** what a slab comes from and goes back to */
export interface Source {
  /** @throws SaqrError MEMORY_REFUSED */
  alloc(bytes: number, what: string): bigint
  free(address: bigint): void
}

const ROUNDED = 2 << 20
const SLAB = 32 << 20
const ALIGNED = 512

interface Slab {
  at: bigint
  bytes: number
  /** [from, to) of what is free, in order */
  gaps: [number, number][]
}

export class Slabs {
  readonly #source: Source
  readonly #slabs: Slab[] = []
  /** where each piece lies */
  readonly #pieces = new Map<bigint, { slab: Slab; from: number; to: number }>()

  constructor(source: Source) {
    this.#source = source
  }

  /** @throws SaqrError MEMORY_REFUSED */
  alloc(bytes: number, what: string): bigint {
    const size = Math.max(Math.ceil(bytes / ALIGNED) * ALIGNED, ALIGNED)
    const lost = Math.ceil(size / ROUNDED) * ROUNDED - size
    if (lost * 64 <= size) return this.#source.alloc(bytes, what)
    const slab = this.#slabs.find(({ gaps }) => gaps.some(([from, to]) => to - from >= size)) ?? this.#more(size, what)
    const gap = slab.gaps.find(([from, to]) => to - from >= size)!
    const from = gap[0]
    gap[0] += size
    if (gap[0] === gap[1]) slab.gaps.splice(slab.gaps.indexOf(gap), 1)
    const at = slab.at + BigInt(from)
    this.#pieces.set(at, { slab, from, to: from + size })
    return at
  }

  #more(size: number, what: string): Slab {
    const slab = this.#allocate(size, what)
    this.#slabs.push(slab)
    return slab
  }

  /** where there is too little for a slab, as much as is asked for */
  #allocate(size: number, what: string): Slab {
    const made = (bytes: number): Slab => ({ at: this.#source.alloc(bytes, what), bytes, gaps: [[0, bytes]] })
    try {
      return made(Math.max(SLAB, Math.ceil(size / ROUNDED) * ROUNDED))
    } catch (error) {
      if (!(error instanceof SaqrError) || error.code !== 'MEMORY_REFUSED' || size >= SLAB) throw error
      return made(size)
    }
  }

  free(address: bigint): void {
    const piece = this.#pieces.get(address)
    if (!piece) {
      this.#source.free(address)
      return
    }
    this.#pieces.delete(address)
    const { slab, from, to } = piece
    const after = slab.gaps.findIndex((gap) => gap[0] >= to)
    slab.gaps.splice(after < 0 ? slab.gaps.length : after, 0, [from, to])
    // neighbours become one
    slab.gaps = slab.gaps.reduce<[number, number][]>((joined, gap) => {
      const last = joined.at(-1)
      if (last && last[1] === gap[0]) last[1] = gap[1]
      else joined.push(gap)
      return joined
    }, [])
    const [[first, end] = [0, 0]] = slab.gaps
    if (first !== 0 || end !== slab.bytes) return
    this.#slabs.splice(this.#slabs.indexOf(slab), 1)
    this.#source.free(slab.at)
  }
}
