/** The definition of `add`. */
import type { Reference } from '../op.ts'

export const reference: Readonly<Record<string, Reference>> = {
  add([a, c], [y]) {
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = a!.data[i]! + c!.data[i]!
  },
}
