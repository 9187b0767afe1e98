/**
 * Products of a mixture's experts on one NVIDIA card, each beside a dense product (cuBLASLt) of as many FLOPs, in turns within one graph.
 * Shapes are Qwen3-30B-A3B's: 128 experts of which 8 are used, gate_up 2048 -> 1536, down 768 -> 2048.
 *
 *   node --import ./tools/ts.mjs bench/grouped.ts [--tokens 4096] [--skewed] [--only TEXT] [--out FILE]
 *
 * A time is the median over rounds of the step's own, by events in the graph. `--skewed`: the busiest expert has about nine times the rows of the
 * idlest; else every token draws its experts at random. `--only`: those products whose line begins so.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { CudaDevice } from '../src/devices/cuda/device.ts'
import { bf16Bits } from '../src/devices/reference/numbers.ts'
import { SeededRandom } from '../src/engine/random.ts'
import { nf4Blocksize, nf4Codebook } from '../src/formats/nf4.ts'
import { bytesOf } from '../src/formats/numbers.ts'
import { lower } from '../src/graph/lower.ts'
import { Recorder, rootOf } from '../src/graph/recorder.ts'
import { type GroupedProductOptions, groupedProduct, groupedWeightGradOp } from '../src/ops/grouped-product/op.ts'
import type { DType, Tensor } from '../src/ops/op.ts'
import { product } from '../src/ops/product/op.ts'
import { sizeOf } from '../src/ops/tensor.ts'
import { weightGrad } from '../src/ops/weight-grad/op.ts'

const { values } = parseArgs({
  options: {
    tokens: { type: 'string', default: '4096' },
    skewed: { type: 'boolean' },
    only: { type: 'string', default: '' },
    out: { type: 'string' },
  },
})
const [E, SLOTS, ROUNDS, TURNS] = [128, 8, 9, 4]
const rows = Number(values.tokens) * SLOTS
const random = new SeededRandom(1, 'grouped')

/** different numbers, repeated */
const NUMBERS = Uint16Array.from({ length: (1 << 20) - 3 }, () => bf16Bits(random.normal()))

/** bytes of random numbers in bf16, or random codes */
function filled(bytes: number): Uint8Array {
  const source = new Uint8Array(NUMBERS.buffer)
  const out = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at += source.length) out.set(source.subarray(0, Math.min(source.length, bytes - at)), at)
  return out
}

/** how many rows each expert has */
function routed(): number[] {
  if (values.skewed) {
    const mean = rows / E
    const each = Array.from({ length: E }, (_, e) => Math.round(mean * (1 + 0.8 * Math.cos((e * Math.PI) / (E - 1)))))
    each[0]! += rows - each.reduce((sum, n) => sum + n, 0)
    return each
  }
  const each = new Array<number>(E).fill(0)
  for (let t = 0; t < rows / SLOTS; t++) {
    const chosen = new Set<number>()
    while (chosen.size < SLOTS) chosen.add(Math.floor(random.uniform() * E))
    for (const e of chosen) each[e]!++
  }
  return each
}

const counts = routed()
const offsetValues = Int32Array.from({ length: E + 1 }, (_, e) => counts.slice(0, e).reduce((sum, n) => sum + n, 0))

interface Setup {
  name: string
  n: number
  k: number
  weight?: DType
  trans?: boolean
  /** of a low-rank part beside the weight */
  rank?: number
  gradient?: boolean
}
const SETUPS: readonly Setup[] = [
  { name: 'gate_up', n: 1536, k: 2048 },
  { name: 'gate_up, NF4', n: 1536, k: 2048, weight: 'nf4' },
  { name: 'gate_up, NF4 and rank 16', n: 1536, k: 2048, weight: 'nf4', rank: 16 },
  { name: 'gate_up, input gradient', n: 2048, k: 1536, trans: true },
  { name: 'gate_up, input gradient, NF4', n: 2048, k: 1536, weight: 'nf4', trans: true },
  { name: 'down', n: 2048, k: 768 },
  { name: 'down, NF4', n: 2048, k: 768, weight: 'nf4' },
  { name: 'down, input gradient, NF4', n: 768, k: 2048, weight: 'nf4', trans: true },
  { name: 'gate_up, to a rank of 16', n: 16, k: 2048 },
  { name: 'gate_up, weight gradient', n: 1536, k: 2048, gradient: true },
  { name: 'gate_up, weight gradient of a rank', n: 1536, k: 16, gradient: true },
]

const device = new CudaDevice()
const { scratch } = device.describe()
const median = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1]!

async function time({ n, k, weight = 'bf16', trans = false, rank, gradient }: Setup): Promise<{ grouped: number; dense: number }> {
  const r = new Recorder()
  const uploads: Record<string, Uint8Array> = {}
  const names: string[] = []
  const input = (name: string, cols: number): Tensor => {
    const t = r.tensor(name, { rows, cols, dtype: 'bf16' }, 'input')
    uploads[name] = filled(sizeOf(t))
    return t
  }
  const stored = (name: string, rows: number, cols: number, dtype: DType): Tensor => {
    const data = (bytes: Uint8Array) => ({ kind: 'data', bytes }) as const
    const absmax = data(bytesOf(new Float32Array((rows * cols) / nf4Blocksize).fill(0.05)))
    const quant = dtype === 'nf4' ? { blocksize: nf4Blocksize, codebook: nf4Codebook, absmax } : undefined
    const bytes = dtype === 'f32' ? new Uint8Array(rows * cols * 4) : filled(sizeOf({ rows, cols, dtype }))
    device.store(name, { rows, cols, dtype, source: data(bytes), quant })
    names.push(name)
    return r.tensor(name, { rows, cols, dtype }, 'store')
  }
  const offsets = r.tensor('offsets', { rows: E + 1, cols: 1, dtype: 'i32' }, 'input')
  uploads.offsets = bytesOf(offsetValues)
  const x = input('x', k)
  const options: GroupedProductOptions = { trans }
  const shape = (experts: number, depth: number) => (trans ? ([experts * depth, n] as const) : ([experts * n, depth] as const))
  if (gradient) {
    const dY = input('dY', n)
    const [all, one] = [stored('dW', E * n, k, 'f32'), stored('dense dW', n, k, 'f32')]
    for (let i = 0; i < TURNS; i++) {
      weightGrad(r, dY, x, one, 'dense')
      r.apply(groupedWeightGradOp, [offsets, dY, x, all], {}, 'grouped')
    }
  } else {
    const w = stored('w', ...shape(E, k), weight)
    const low = rank ? [{ x: input('u', rank), w: stored('B', ...shape(E, rank), 'bf16') }] : []
    const one = stored('dense w', ...shape(1, k), 'bf16')
    for (let i = 0; i < TURNS; i++) {
      product(r, [{ x, w: one }], options, 'dense')
      groupedProduct(r, offsets, [{ x, w }, ...low], options, 'grouped')
    }
  }
  const inputs = Object.keys(uploads).map((name) => r.nodes.flatMap(({ inputs }) => inputs).find((t) => t?.name === name)!)
  const outputs = r.nodes.flatMap((node) => node.outputs.map(rootOf)).filter((t) => t.space !== 'store')
  const plan = lower([{ name: 'all', nodes: r.nodes }], { tokens: 1, pinned: [...new Set([...inputs, ...outputs])], scratch })
  const loaded = device.load(plan, { profile: true })
  const items = [{ plan: loaded, segment: 'all' }]
  const times: Record<string, number[]> = { grouped: [], dense: [] }
  await device.run(items, uploads)
  await device.run(items, {}) // the graph's first replay
  for (let round = 0; round < ROUNDS; round++) {
    const before = loaded.seconds!.slice()
    await device.run(items, {})
    plan.steps.forEach(({ name }, i) => {
      times[name]!.push(loaded.seconds![i]! - before[i]!)
    })
  }
  loaded.dispose()
  for (const name of names) device.drop(name)
  return { grouped: median(times.grouped!), dense: median(times.dense!) }
}

const setups = SETUPS.filter(({ name }) => name.startsWith(values.only))
if (setups.length === 0) {
  console.error(`bench:grouped: no product's line begins with "${values.only}": ${SETUPS.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}
console.log(`${device.describe().label}; ${rows / SLOTS} tokens, rows of an expert ${Math.min(...counts)} … ${Math.max(...counts)}`)
const results = []
for (const setup of setups) {
  const { grouped, dense } = await time(setup)
  const flops = 2 * rows * setup.n * setup.k
  const speed = (seconds: number) => `${(seconds * 1e3).toFixed(3)} ms, ${(flops / seconds / 1e12).toFixed(0).padStart(4)} TFLOP/s`
  console.log(
    `${setup.name.padEnd(36)} grouped ${speed(grouped)}; dense ${speed(dense)}; ${((100 * dense) / grouped).toFixed(0)} % of its speed`,
  )
  results.push({ ...setup, tokens: rows / SLOTS, skewed: values.skewed === true, grouped, dense })
}
if (values.out) writeFileSync(values.out, `${JSON.stringify({ card: device.describe().label, counts, results }, null, 1)}\n`)
device.dispose()
