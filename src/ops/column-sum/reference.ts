/** The definition of `column_sum`. */
import { defines } from '../op.ts'
import { columnSumOp } from './op.ts'

export const references = [
  defines(columnSumOp, ([dY], [d]) => {
    for (let i = 0; i < dY!.data.length; i++) d!.data[i % d!.cols]! += dY!.data[i]!
  }),
]
