/** A case as a plan of one op: recorded, lowered, run on a device, its outputs read; and the same by the op's definition. */
import type { Device } from '../../src/devices/device.ts'
import { decode } from '../../src/devices/reference/numbers.ts'
import { lower } from '../../src/graph/lower.ts'
import type { Plan } from '../../src/graph/plan.ts'
import { Recorder, rootOf } from '../../src/graph/recorder.ts'
import { castOp } from '../../src/ops/cast/op.ts'
import { references } from '../../src/ops/generated/references.ts'
import type { Matrix, Node, OpCase, Tensor } from '../../src/ops/op.ts'
import { sizeOf } from '../../src/ops/tensor.ts'
import type { Activation, Drawn } from './draw.ts'

/** what a case is called in a message */
export const label = (c: OpCase, activation?: Activation) => `${c.op.name}: ${c.name}${activation ? `, ${activation}` : ''}`

/** dtypes that a case runs in: one where no input follows the activations */
export function activations(c: OpCase): Activation[] {
  return c.inputs.some((input) => input?.dtype === 'act') ? ['f32', 'bf16'] : ['f32']
}

export interface Recorded {
  r: Recorder
  node: Node
  /** bytes of pass inputs by buffer name */
  uploads: Record<string, Uint8Array>
  /** roots that the host writes or reads: they keep their places */
  pinned: Tensor[]
  /** store roots with their first bytes */
  stored: { tensor: Tensor; drawn: Drawn }[]
}

/** Declares the inputs of a case and applies its op. Inputs of activations, and what is trainable, take gradients. `tag`: before names. */
export function record(c: OpCase, drawn: readonly (Drawn | null)[], tag = ''): Recorded {
  const r = new Recorder()
  const recorded = { r, uploads: {}, pinned: [], stored: [] } as unknown as Recorded
  const tensors = drawn.map((d, i) => {
    if (!d) return null
    const { rows, space, trainable, within } = d.input
    const inStore = space === 'store'
    const needsGrad = inStore ? trainable === true : d.input.dtype === 'act'
    const root = r.tensor(`${tag}in${i}`, { rows, cols: d.cols, dtype: d.dtype }, inStore ? 'store' : 'input', needsGrad)
    if (inStore) recorded.stored.push({ tensor: root, drawn: d })
    else {
      recorded.uploads[root.name] = d.bytes
      recorded.pinned.push(root)
    }
    return within ? r.columns(root, d.from, d.input.cols) : root
  })
  r.apply(c.op, tensors, c.attrs, `${tag}case`)
  return Object.assign(recorded, { node: r.nodes[0]! })
}

/** index of the input that output `o` is written into, or −1 */
const intoInput = (node: Node, o: number) => node.inputs.findIndex((t) => t !== null && t === node.outputs[o])

/** The outputs by the op's definition. */
export function expected(c: OpCase, node: Node, matrices: readonly (Matrix | null)[]): Matrix[] {
  const outputs = node.outputs.map((t, o): Matrix => {
    const old = matrices[intoInput(node, o)]
    return { rows: t.rows, cols: t.cols, data: old ? old.data.slice() : new Float64Array(t.rows * t.cols) }
  })
  references[c.op.name]!.run(matrices, outputs, node.attrs)
  return outputs
}

export interface Output {
  bytes: Uint8Array
  values: Float64Array
}

/** Puts a case's store tensors on the device, runs `use`, takes them off again. */
export async function withStore<T>(device: Device, stored: Recorded['stored'], use: () => Promise<T>): Promise<T> {
  for (const { tensor, drawn } of stored) {
    const { rows, cols, dtype } = tensor
    device.store(tensor.name, { rows, cols, dtype, source: { kind: 'data', bytes: drawn.bytes }, quant: drawn.quant })
  }
  try {
    return await use()
  } finally {
    for (const { tensor } of stored) device.drop(tensor.name)
  }
}

/** every byte of the arena 0xff: NaN as f32 and bf16, −1 as an index */
async function poison(device: Device, bytes: number): Promise<void> {
  const size = Math.max(4, bytes)
  const buffer = {
    name: 'poison',
    space: 'input',
    rows: 1,
    cols: size,
    dtype: 'u8',
    bytes: size,
    at: 0,
    from: 0,
    to: 0,
    kind: 'inputs',
    sparse: false,
  } as const
  const segments = [{ name: 'poison', from: 0, to: 0, repeats: false }]
  const plan: Plan = { tokens: 1, buffers: [buffer], steps: [], segments, arena: size, host: 0, flops: 0, bytes: 0, hash: '' }
  const loaded = device.load(plan)
  await device.run([{ plan: loaded, segment: 'poison' }], { poison: new Uint8Array(size).fill(0xff) })
  loaded.dispose()
}

export interface EvaluateOptions {
  /** inputs are copies that die in the op, so that outputs take over their places */
  inPlace?: boolean
  /** outputs are columns of wider matrices, whose other columns must stay as they are */
  columns?: boolean
}

/** Runs the case on a device, its arena poisoned before. */
export async function evaluate(
  device: Device,
  c: OpCase,
  drawn: readonly (Drawn | null)[],
  options: EvaluateOptions = {},
): Promise<Output[]> {
  const recorded = record(c, drawn)
  const results = options.inPlace ? throughCopies(recorded) : recorded.node.outputs
  if (options.columns) for (const t of results) if (t.space === 'arena') widen(recorded.r, t)
  const pinned = [...recorded.pinned, ...results.filter((t) => rootOf(t).space === 'arena')]
  const plan = lower([{ name: 'all', nodes: recorded.r.nodes }], {
    tokens: 1,
    pinned: [...new Set(pinned)],
    scratch: device.describe().scratch,
  })
  if (options.inPlace && !sharesPlaces(plan)) throw new Error('no output took over the place of an input')
  return withStore(device, recorded.stored, async () => {
    device.reserve(plan.arena)
    await poison(device, plan.arena)
    const loaded = device.load(plan)
    try {
      const inPass = results.filter((t) => t.space !== 'store').map((t) => rootOf(t).name)
      const read = await device.run([{ plan: loaded, segment: 'all' }], recorded.uploads, { read: inPass })
      return results.map((t) => {
        const root = t.space === 'store' ? device.readStore(t.name) : read[inPass.indexOf(rootOf(t).name)]!
        const bytes = t.root ? columnsOf(root, t) : root
        return { bytes: bytes.slice(0, sizeOf(t)), values: decode(bytes, t.dtype) }
      })
    } finally {
      loaded.dispose()
    }
  })
}

/** Makes an output a view of a wider matrix that begins at its column 8; rows of an odd length. */
function widen(r: Recorder, t: Tensor): void {
  const root = r.tensor(`${t.name}.wide`, { rows: t.rows, cols: t.cols + 8 + (t.cols % 2 ? 4 : 5), dtype: t.dtype }, 'arena')
  Object.assign(t, { root, offset: 8, stride: root.cols })
}

/** the view's own bytes; throws where anything beside it was written (the arena was poisoned with 0xff) */
function columnsOf(root: Uint8Array, t: Tensor): Uint8Array {
  const size = sizeOf({ rows: 1, cols: 1, dtype: t.dtype })
  const out = new Uint8Array(t.rows * t.cols * size)
  for (let i = 0; i < t.rows; i++) {
    const row = root.subarray(i * t.stride * size, (i + 1) * t.stride * size)
    out.set(row.subarray(t.offset * size, (t.offset + t.cols) * size), i * t.cols * size)
    const beside = [row.subarray(0, t.offset * size), row.subarray((t.offset + t.cols) * size)]
    if (beside.some((bytes) => bytes.some((b) => b !== 0xff))) throw new Error(`${t.name}: row ${i} was written beside its columns`)
  }
  return out
}

/** Rewrites the recorded op to read copies of its inputs and copies its outputs to where they last; returns those. */
function throughCopies({ r, node }: Recorded): Tensor[] {
  const copy = (t: Tensor) => r.apply(castOp, [t], { dtype: t.dtype }, `copy of ${t.name}`)[0]!
  r.nodes = []
  const inputs = node.inputs.map((t) => (t && t.space === 'input' && !t.root && (t.dtype === 'f32' || t.dtype === 'bf16') ? copy(t) : t))
  const outputs = r.apply(node.op, inputs, node.attrs, 'in place')
  return outputs.map((t) => (t.space === 'arena' ? copy(t) : t))
}

function sharesPlaces(plan: Plan): boolean {
  const step = plan.steps.find((s) => s.name === 'in place')!
  const at = (t: { buffer: number } | null) => t && plan.buffers[t.buffer]!
  return step.outputs.some((o) => step.inputs.some((i) => i && at(i)!.space === 'arena' && at(i)!.at === at(o)!.at))
}

/** ‖a − e‖₂ / ‖e‖₂; equal infinities don't differ */
export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0
  let size = 0
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i]!
    if (actual[i] === e) {
      if (Number.isFinite(e)) size += e * e
      continue
    }
    difference += (actual[i]! - e) ** 2
    size += e * e
  }
  if (actual.length !== expected.length) return Infinity
  return difference === 0 ? 0 : Math.sqrt(difference / size)
}
