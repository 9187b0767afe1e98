/** The definition of `grad_norm`. */
import type { Reference } from '../op.ts'

export const reference: Readonly<Record<string, Reference>> = {
  grad_norm([gradient], [norm]) {
    let squares = 0
    for (const g of gradient!.data) squares += g * g
    norm!.data[0] = Math.sqrt(squares)
  },
}
