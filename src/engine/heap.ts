/** Garbage given back when a memory budget asks for it: left alone, V8 lets hundreds of MB gather where a machine has much memory. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { DeviceDescription } from '../devices/device.ts'

let collectNow: ((how?: object) => void) | undefined

/** A full collection: 10 ms for each 20 MB that is alive, about. */
export function collectGarbage(): void {
  if (!collectNow) {
    // a context made while the flag is set has the function; nobody else's has
    setFlagsFromString('--expose-gc')
    collectNow = runInNewContext('gc') as (how?: object) => void
    setFlagsFromString('--no-expose-gc')
  }
  collectNow()
  // since Node 22 only this gives back the pages that young objects had; older ones have a small young generation, and take it for a minor one
  collectNow({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}

/** Is the heap part of a budget that is given? A device with memory of its own has a budget of that. */
export const isHeapCounted = ({ memory }: DeviceDescription) => memory === undefined
