import { describe, expect, it } from 'vitest'
import { Slabs } from '../../src/devices/cuda/slabs.ts'
import { SaqrError } from '../../src/error.ts'

const MiB = 2 ** 20

/** memory that counts as a driver does, in whole 2 MiB */
class Memory {
  readonly held = new Map<bigint, number>()
  readonly #capacity: number
  #next = 1n << 30n
  constructor(capacity = Infinity) {
    this.#capacity = capacity
  }
  get bytes(): number {
    return [...this.held.values()].reduce((sum, n) => sum + n, 0)
  }
  alloc(bytes: number): bigint {
    const taken = Math.ceil(bytes / (2 * MiB)) * 2 * MiB
    if (this.bytes + taken > this.#capacity) throw new SaqrError('MEMORY_REFUSED', 'full')
    const at = this.#next
    this.#next += BigInt(taken)
    this.held.set(at, taken)
    return at
  }
  free(at: bigint): void {
    expect(this.held.delete(at)).toBe(true)
  }
}

/** Gemma-2-9B's block in NF4, bytes of q, k, v, o, gate, up, down and their scales */
const block = [4096, 2048, 2048, 4096, 14336, 14336, 14336].flatMap((n) => [(n * 3584) / 2, (n * 3584) / 64])

describe('slabs', () => {
  it('hold many weights in hardly more than their bytes, none over another', () => {
    const memory = new Memory()
    const slabs = new Slabs(memory)
    const sizes = Array.from({ length: 42 }, () => block).flat()
    const pieces = sizes.map((bytes) => ({ at: slabs.alloc(bytes, 'w'), bytes })).sort((a, b) => Number(a.at - b.at))
    const bytes = sizes.reduce((sum, n) => sum + n, 0)
    expect(memory.bytes).toBeLessThan(bytes * 1.015 + 32 * MiB)
    for (const [i, { at, bytes }] of pieces.entries()) {
      expect(at % 512n).toBe(0n)
      if (i + 1 < pieces.length) expect(pieces[i + 1]!.at - at).toBeGreaterThanOrEqual(BigInt(bytes))
    }
    for (const { at } of pieces) slabs.free(at)
    expect(memory.bytes).toBe(0)
  })

  it('what is freed is used again, its neighbours joined', () => {
    const memory = new Memory()
    const slabs = new Slabs(memory)
    const three = [0, 1, 2].map(() => slabs.alloc(9.3 * MiB, 'w'))
    const taken = memory.bytes
    slabs.free(three[2]!)
    slabs.free(three[0]!)
    slabs.free(three[1]!)
    expect(memory.bytes).toBe(0)
    const [a, b] = [slabs.alloc(5.5 * MiB, 'w'), slabs.alloc(5.5 * MiB, 'w')]
    slabs.free(a)
    expect(slabs.alloc(5.5 * MiB, 'w')).toBe(a)
    slabs.free(b)
    expect(memory.bytes).toBe(taken)
  })

  it('take no more than is asked for where there is no room for a slab, and say so where there is none for that', () => {
    const slabs = new Slabs(new Memory(8 * MiB))
    slabs.alloc(3.1 * MiB, 'w')
    expect(() => slabs.alloc(5.5 * MiB, 'w')).toThrow('full')
  })
})
