/** Small tensors share a slab, large ones have pages of their own; a slab goes with its last tensor. */
import { expect, test } from 'vitest'
import { nativeLibrary } from '../../src/devices/cpu/library.ts'
import { Slabs } from '../../src/devices/cpu/slabs.ts'

test('a slab is filled side by side, and given back when its last tensor is', () => {
  const { native } = nativeLibrary()
  const freed: number[] = []
  const slabs = new Slabs({
    ...native,
    free: Object.assign((...[at, bytes]: Parameters<typeof native.free>) => {
      freed.push(bytes as number)
      return native.free(at, bytes)
    }, native.free),
  })
  const [a, b] = [slabs.take(100), slabs.take(0)]
  expect(b!.address - a!.address).toBe(256n)
  const large = slabs.take(5 << 20)
  large.free()
  expect(freed).toEqual([5 << 20])
  const c = slabs.take((4 << 20) - 1)
  const d = slabs.take((4 << 20) - 1) // more than is left
  expect(c.address - a!.address).toBe(512n)
  for (const room of [b!, a!]) room.free()
  expect(freed).toHaveLength(1)
  c.free()
  expect(freed).toEqual([5 << 20, 8 << 20])
  d.free()
  expect(freed).toHaveLength(3)
  const e = slabs.take(1) // the open slab is gone: another
  e.free()
  expect(freed).toHaveLength(4)
})
