/** Every op's cases on the card against the definitions. */
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { castOp } from '../../src/ops/cast/op.ts'
import { cases } from '../../src/ops/generated/cases.ts'
import type { OpCase } from '../../src/ops/op.ts'
import { draw, encode } from '../../test/ops/draw.ts'
import { activations, distance, evaluate, expected, label, record } from '../../test/ops/harness.ts'
import { messageOf, note } from './findings.ts'

/** ‖a − b‖ / ‖b‖ over every output of a case, in f32 and bf16, plain and nested scales, apart, in place and as columns: the same bits; and twice */
async function checkCase(device: Device, c: OpCase): Promise<void> {
  const quantised = c.inputs.some((input) => input?.dtype === 'nf4')
  const mayLieInPlace = c.op.inPlace?.some(([, k]) => c.inputs[k] && !c.inputs[k].within)
  for (const activation of activations(c)) {
    for (const nested of quantised ? [false, true] : [false]) {
      const drawn = draw(c, activation, nested)
      const right = expected(c, record(c, drawn).node, drawn.map((d) => d?.matrix ?? null)) // biome-ignore format: short
      let apart: Buffer[] | undefined
      for (const place of [{}, { columns: true }, ...(mayLieInPlace ? [{ inPlace: true }] : [])]) {
        const what = [label(c, activation), ...(nested ? ['nested'] : []), ...Object.keys(place)].join(', ')
        try {
          const [once, again] = [await evaluate(device, c, drawn, place), await evaluate(device, c, drawn, place)]
          once.forEach(({ values, bytes }, o) => {
            note(`${what}: output ${o}`, distance(values, right[o]!.data), c.tolerance[activation])
            if (Buffer.compare(bytes, again[o]!.bytes) !== 0) note(`${what}: output ${o}, other bits the second time`, 1, 0)
            // what blocks keep decides what lies in place: it must not change a bit
            if (apart && 'inPlace' in place && Buffer.compare(bytes, apart[o]!) !== 0)
              note(`${what}: output ${o}, other bits than apart`, 1, 0)
          })
          apart ??= once.map(({ bytes }) => Buffer.from(bytes))
        } catch (error) {
          note(what, Infinity, c.tolerance[activation], messageOf(error))
        }
      }
    }
  }
}

/** numbers of a case's inputs, up to which it is a small one: three of five are */
export const SMALL = 3000

/**
 * @param most cases of at most so many numbers alone, for what is slow
 * @param share 'i/n': each nth case, from the ith on
 */
export async function checkOps(only?: string, open: () => Device = () => new CudaDevice(), most = Infinity, share = '0/1'): Promise<void> {
  const [first, of] = share.split('/').map(Number)
  const device = open()
  const { has } = device.describe()
  const wanted = (c: OpCase) => has(c.op.name) && !c.bench && (!only || c.op.name.startsWith(only)) && sizeOf(c) <= most
  const chosen = cases.filter(wanted).filter((_, i) => i % of! === first)
  for (const c of chosen) await checkCase(device, c)
  if (!only && first === 0 && device.describe().kind === 'cuda') await checkDequantisation(device) // others read NF4 within their products
  device.dispose()
}

const sizeOf = ({ inputs }: OpCase) => inputs.reduce((sum, input) => sum + (input ? input.rows * input.cols : 0), 0)

/** NF4 as bitsandbytes computes it, in f32 and rounded once to bf16: equal bytes, tails of a block too */
async function checkDequantisation(device: Device): Promise<void> {
  for (const [rows, cols] of [
    [96, 256],
    [33, 48],
    [7, 9],
    [257, 320],
  ] as const) {
    for (const dtype of ['f32', 'bf16'] as const) {
      for (const nested of [false, true]) {
        const inputs = [{ rows, cols, dtype: 'nf4', space: 'store' }] as const
        const c: OpCase = { name: `${rows} × ${cols}`, op: castOp, attrs: { dtype }, inputs, tolerance: { f32: 0, bf16: 0 } }
        const drawn = draw(c, 'f32', nested)
        const [made] = await evaluate(device, c, drawn)
        const differs = Buffer.compare(made!.bytes, encode(drawn[0]!.matrix.data, dtype)) !== 0
        note(`NF4 ${rows} × ${cols} to ${dtype}${nested ? ', nested' : ''}: other bytes than the formula`, differs ? 1 : 0, 0)
      }
    }
  }
}
