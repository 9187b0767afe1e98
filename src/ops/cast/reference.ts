/** The definition of `cast`: the value itself; rounding is the output's dtype. */
import type { Reference } from '../op.ts'

export const reference: Readonly<Record<string, Reference>> = {
  cast([x], [y]) {
    y!.data.set(x!.data)
  },
}
