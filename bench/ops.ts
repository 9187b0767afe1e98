/**
 * Op by op at real sizes: time, what it moves and computes in it, and how much of the machine's limit that is. The limit is the longer of
 * FLOPs over the multiply-add probe and bytes over the copy probe (`Device.limits`). What memory limits runs on many copies in turn, more
 * than the caches hold; `--warm` runs on one, as in a pass where the op before has just written it.
 *
 *   bench:ops [--threads N] [--variant NAME] [--dtype f32|bf16] [--warm] [part of an op's or case's name …]
 */
import { parseArgs } from 'node:util'
import { CpuDevice } from '../src/devices/cpu/device.ts'
import type { Device } from '../src/devices/device.ts'
import { lower } from '../src/graph/lower.ts'
import type { Plan } from '../src/graph/plan.ts'
import { rootOf } from '../src/graph/recorder.ts'
import { cases } from '../src/ops/generated/cases.ts'
import type { OpCase } from '../src/ops/op.ts'
import { type Activation, draw } from '../test/ops/draw.ts'
import { activations, type Recorded, record, withStore } from '../test/ops/harness.ts'

/** a case runs at least this often and this long; the shortest time counts: others use the machine too */
const RUNS = 5
const SECONDS = 0.5
/** bytes that no cache holds, and copies that are enough */
const BEYOND_CACHES = 256e6
const MOST_COPIES = 64

interface Timing {
  seconds: number
  flops: number
  bytes: number
}

async function time(device: Device, c: OpCase, activation: Activation, warm: boolean): Promise<Timing> {
  const limits = device.limits()
  const drawn = draw(c, activation)
  const one = planOf([record(c, drawn)])
  const flops = flopsOf(c, one)
  const { bytes } = one
  const copies = warm || flops / limits[activation] > bytes / limits.copy ? 1 : Math.min(MOST_COPIES, Math.ceil(BEYOND_CACHES / bytes))
  const recorded = Array.from({ length: copies }, (_, i) => record(c, drawn, `copy ${i} `))
  const stored = recorded.flatMap((r) => r.stored)
  return withStore(device, stored, async () => {
    const loaded = device.load(planOf(recorded), { profile: true })
    const items = [{ plan: loaded, segment: 'all' }]
    const inputs = Object.assign({}, ...recorded.map((r) => r.uploads))
    const total = () => loaded.seconds!.reduce((sum, s) => sum + s, 0)
    await device.run(items, inputs)
    let shortest = Infinity
    for (let run = 0, spent = 0; run < RUNS || spent < SECONDS; run++) {
      const before = total()
      await device.run(items, {})
      const seconds = total() - before
      shortest = Math.min(shortest, seconds / copies)
      spent += seconds
    }
    loaded.dispose()
    return { seconds: shortest, flops, bytes }
  })
}

/** FLOPs of a case: attention's by the pairs of query and key that its mask lets see each other. */
function flopsOf({ op, attrs, inputs }: OpCase, { steps: [step] }: Plan): number {
  if (!step!.pairFlops) return step!.flops
  const mask = op.name === 'attention' ? 3 : 6
  const [from, until, depth] = inputs.slice(mask, mask + 3).map((input) => input!.values!)
  const first = op.name === 'attention' ? (inputs[6]?.values?.[0] ?? 0) : 0
  const window = Number(attrs.window)
  let pairs = 0
  for (let j = 0; j < from!.length; j++) {
    for (let i = Math.max(from![j]!, first); i < Math.min(until![j]!, first + inputs[0]!.rows); i++) {
      if (!window || depth![i]! - depth![j]! < window) pairs++
    }
  }
  return pairs * step!.pairFlops
}

function planOf(recorded: readonly Recorded[]): Plan {
  const nodes = recorded.flatMap((r) => r.r.nodes)
  const outputs = nodes.flatMap((node) => node.outputs.map(rootOf)).filter((t) => t.space !== 'store')
  return lower([{ name: 'all', nodes }], { tokens: 1, pinned: [...new Set([...recorded.flatMap((r) => r.pinned), ...outputs])] })
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { threads: { type: 'string' }, variant: { type: 'string' }, dtype: { type: 'string' }, warm: { type: 'boolean' } },
  })
  const device = new CpuDevice({ threads: values.threads ? Number(values.threads) : undefined, variant: values.variant })
  const limits = device.limits()
  const giga = (x: number) => (x / 1e9).toFixed(1)
  console.log(
    `${device.describe().label}: f32 ${giga(limits.f32)} GFLOP/s, bf16 ${giga(limits.bf16)} GFLOP/s, copy ${giga(limits.copy)} GB/s`,
  )
  const chosen = cases.filter(
    (c) =>
      c.bench &&
      device.describe().has(c.op.name) &&
      (positionals.length === 0 || positionals.some((p) => `${c.op.name}: ${c.name}`.includes(p))),
  )
  for (const c of chosen) {
    for (const activation of activations(c).filter((a) => !values.dtype || a === values.dtype)) {
      const { seconds, flops, bytes } = await time(device, c, activation, values.warm === true)
      const compute = flops / limits[activation]
      const memory = bytes / limits.copy
      const share = (100 * Math.max(compute, memory)) / seconds
      const columns = [
        `${c.op.name}: ${c.name}`.padEnd(64),
        activation.padEnd(4),
        `${(seconds * 1e3).toFixed(3)} ms`.padStart(12),
        `${giga(flops / seconds)} GFLOP/s`.padStart(15),
        `${giga(bytes / seconds)} GB/s`.padStart(12),
        `${share.toFixed(0)} % of ${compute > memory ? 'multiply-adds' : 'copy'}`.padStart(22),
      ]
      console.log(columns.join(' '))
    }
  }
  device.dispose()
}

await main()
