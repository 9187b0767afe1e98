/** The definition of `scale`. */
import type { Reference } from '../op.ts'

export const reference: Readonly<Record<string, Reference>> = {
  scale([x], [y], { factor }) {
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = factor! * x!.data[i]!
  },
}
