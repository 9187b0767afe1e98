/** 4-bit weights kept in bf16 too: by whom, and what is left where one can't be. */
import { describe, expect, it } from 'vitest'
import type { Card } from '../../src/devices/cuda/card.ts'
import { CudaStore } from '../../src/devices/cuda/store.ts'
import { SaqrError } from '../../src/error.ts'
import { nf4Blocksize, nf4Codebook } from '../../src/formats/nf4.ts'

const [ROWS, COLS] = [4096, 4096]
const NAMES = ['a', 'b', 'c']

function stored() {
  const held = new Map<bigint, number>()
  const room = { left: Number.POSITIVE_INFINITY }
  let next = 1n << 30n
  const card = {
    alloc(bytes: number) {
      if (bytes > room.left) throw new SaqrError('MEMORY_REFUSED', 'full')
      room.left -= bytes
      held.set((next += 1n << 28n), bytes)
      return next
    },
    free(at: bigint) {
      expect(held.delete(at)).toBe(true)
    },
    zero() {},
    upload() {},
  } as unknown as Card
  const store = new CudaStore(card)
  const absmax = { kind: 'data', bytes: new Uint8Array(((ROWS * COLS) / nf4Blocksize) * 4) } as const
  const quant = { blocksize: nf4Blocksize, codebook: nf4Codebook, absmax }
  for (const name of NAMES) store.add(name, { rows: ROWS, cols: COLS, dtype: 'nf4', source: { kind: 'zero' }, quant })
  const bytes = () => [...held.values()].reduce((sum, n) => sum + n, 0)
  return { store, room, bytes }
}

describe('weights kept in bf16 too', () => {
  it('are read once they are filled, and are nobody else’s memory', () => {
    const { store, bytes } = stored()
    const [before, counted] = [bytes(), store.bytes()]
    const { launches, commit } = store.keepDense({}, NAMES)
    expect(launches.length).toBe(3)
    expect(NAMES.map((name) => store.get(name).dense)).toEqual([null, null, null])
    commit()
    expect(NAMES.map((name) => store.get(name).dense?.dtype)).toEqual(['bf16', 'bf16', 'bf16'])
    expect([bytes() - before, store.bytes()]).toEqual([3 * ROWS * COLS * 2, counted])
  })

  it('where one can’t be, or can’t be filled, all are as they were', () => {
    const { store, room, bytes } = stored()
    const before = bytes()
    room.left = ROWS * COLS * 2 + 1
    expect(() => store.keepDense({}, NAMES)).toThrow('full')
    expect(bytes()).toBe(before)
    room.left = Number.POSITIVE_INFINITY
    store.keepDense({}, NAMES).undo()
    expect(bytes()).toBe(before)
    expect(store.keepDense({}, NAMES).launches.length).toBe(3)
  })

  it('stay as long as somebody keeps them, and go with their weight', () => {
    const { store, bytes } = stored()
    const before = bytes()
    const [one, other] = [{}, {}]
    store.keepDense(one, NAMES).commit()
    const again = store.keepDense(other, ['a'])
    expect(again.launches).toEqual([])
    again.commit()
    expect(store.dropDense({})).toBe(false)
    expect(store.dropDense(one)).toBe(true)
    expect(NAMES.map((name) => store.get(name).dense !== null)).toEqual([true, false, false])
    store.drop('a')()
    store.dropDense(other)
    expect(bytes()).toBe(before - (ROWS * COLS) / 2)
  })
})
