/** The definition of `column_sum`. */
import type { Reference } from '../op.ts'

export const reference: Readonly<Record<string, Reference>> = {
  column_sum([dY], [d]) {
    for (let i = 0; i < dY!.data.length; i++) d!.data[i % d!.cols]! += dY!.data[i]!
  },
}
