/** What the suite takes a device's variant for. */
import { expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { variantIn } from './devices.ts'

it.each([
  ['2 threads, x86-64-v4-bf16 (x86-64-amx left out: the system refuses tiles: Operation not permitted)', 'x86-64-v4-bf16'],
  ['1 thread within a quota of 0.50 processors: halted now and then, x86-64-amx', 'x86-64-amx'],
])('%s', (label, variant) => {
  expect(variantIn(label)).toBe(variant)
})

it('of one that was asked for', () => {
  const own = new CpuDevice({ threads: 1 })
  const variant = variantIn(own.describe().label)
  own.dispose()
  const same = new CpuDevice({ threads: 2, variant })
  expect(variantIn(same.describe().label)).toBe(variant)
  same.dispose()
})
