/** Tensors stored together: all of them, or none where something fails on the way. */
import type { Device, StoreSpec } from '../devices/device.ts'

/** @param make stores by the function it is given; what it throws takes those tensors out again */
export function storing<T>(device: Device, make: (store: (name: string, spec: StoreSpec) => void) => T): T {
  const stored: string[] = []
  try {
    return make((name, spec) => {
      device.store(name, spec)
      stored.push(name)
    })
  } catch (error) {
    for (const name of stored) device.drop(name)
    throw error
  }
}
