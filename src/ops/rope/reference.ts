/** Rotary position embedding in f64: its angles and its rotation. */
import { defines, type Reference } from '../op.ts'
import { ropeOp, ropeTableOp } from './op.ts'

const ropeTable: Reference<typeof ropeTableOp.attrs> = ([position, short, long, longInvFreq], [table], attrs) => {
  const half = short!.cols
  for (let t = 0; t < table!.rows; t++) {
    const invFreq = long?.data[t] ? longInvFreq! : short!
    for (let i = 0; i < half; i++) {
      const angle = position!.data[t]! * invFreq.data[i]!
      table!.data[t * 2 * half + i] = Math.cos(angle) * attrs.attentionFactor
      table!.data[t * 2 * half + half + i] = Math.sin(angle) * attrs.attentionFactor
    }
  }
}

const rope: Reference<typeof ropeOp.attrs> = ([x, table], [y], { headDim, rotaryDim, from, interleaved, sign }) => {
  const half = rotaryDim / 2
  y!.data.set(x!.data)
  for (let t = 0; t < x!.rows; t++) {
    for (let head = t * x!.cols + from; head < (t + 1) * x!.cols; head += headDim) {
      for (let i = 0; i < half; i++) {
        const first = head + (interleaved ? 2 * i : i)
        const second = interleaved ? first + 1 : first + half
        const cos = table!.data[t * rotaryDim + i]!
        const sin = table!.data[t * rotaryDim + half + i]! * sign
        const [a, b] = [x!.data[first]!, x!.data[second]!]
        y!.data[first] = a * cos - b * sin
        y!.data[second] = b * cos + a * sin
      }
    }
  }
}

export const references = [defines(ropeTableOp, ropeTable), defines(ropeOp, rope)]
