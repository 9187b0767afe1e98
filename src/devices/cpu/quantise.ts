/** NF4 made by native code on every core, whatever device it is for: the bytes that formats/nf4.ts defines. */
import { middlesOf } from '../../formats/dynamic-map.ts'
import { nf4Blocksize, nf4Bounds, nf4NestedBlocksize, notFinite, type Quantiser } from '../../formats/nf4.ts'
import { runnableThreads } from '../threads.ts'
import { nativeLibrary } from './library.ts'

export const nativeQuantiser: Quantiser = {
  quantise(values) {
    const n = values.length
    const packed = new Uint8Array(Math.ceil(n / 2))
    const absmax = new Float32Array(Math.ceil(n / nf4Blocksize))
    const isBf16 = values instanceof Uint16Array ? 1 : 0
    const bad = Number(nativeLibrary().native.quantiseNf4(values, isBf16, n, nf4Bounds, packed, absmax, runnableThreads()))
    if (bad >= 0) throw notFinite(bad * nf4Blocksize, Math.min((bad + 1) * nf4Blocksize, n))
    return { packed, absmax }
  },
  quantise8Bit(values, offset, code) {
    const codes = new Uint8Array(values.length)
    const absmax = new Float32Array(Math.ceil(values.length / nf4NestedBlocksize))
    nativeLibrary().native.quantise8Bit(values, offset, values.length, middlesOf(code), codes, absmax, runnableThreads())
    return { codes, absmax }
  },
}
