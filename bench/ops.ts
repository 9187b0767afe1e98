/**
 * Op by op at real sizes: time, what it moves and computes in it, and how much of the machine's limit that is. The limit is the longer of
 * FLOPs over the multiply-add probe and bytes over the copy probe (`Device.limits`). What memory limits runs on many copies in turn, more
 * than the caches hold; `--warm` runs on one, as in a pass where the op before has just written it. Several variants are timed run by run
 * in turns, so that what else the machine does falls on all of them; each line but the first's ends with its time over the first's. A
 * library built of other sources is a variant too: native/build/saqr-before.so is called before.
 * No more threads than can run at once: where they wait for a processor, an op's time begins when thread 0 gets one.
 *
 *   bench:ops [--threads N[,N …]] [--variant NAME[,NAME …]] [--dtype f32|bf16] [--warm] [--seconds S] [part of an op's or case's name …]
 */
import { parseArgs } from 'node:util'
import { CpuDevice } from '../src/devices/cpu/device.ts'
import type { Device } from '../src/devices/device.ts'
import { runnableThreads } from '../src/devices/threads.ts'
import { lower } from '../src/graph/lower.ts'
import type { Plan } from '../src/graph/plan.ts'
import { rootOf } from '../src/graph/recorder.ts'
import { cases } from '../src/ops/generated/cases.ts'
import type { OpCase } from '../src/ops/op.ts'
import { type Activation, draw } from '../test/ops/draw.ts'
import { activations, type Recorded, record, withStore } from '../test/ops/harness.ts'

/** a case runs at least this often, and this long by default; the shortest time counts: others use the machine too */
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

interface Settings {
  activation: Activation
  warm: boolean
  seconds: number
}

/** on each device, a run of one after a run of the other */
async function time(devices: readonly Device[], c: OpCase, { activation, warm, seconds }: Settings): Promise<Timing[]> {
  const limits = devices[0]!.limits()
  const drawn = draw(c, activation)
  const one = planOf([record(c, drawn)])
  const flops = flopsOf(c, one)
  const { bytes } = one
  const copies = warm || flops / limits[activation] > bytes / limits.copy ? 1 : Math.min(MOST_COPIES, Math.ceil(BEYOND_CACHES / bytes))
  const recorded = Array.from({ length: copies }, (_, i) => record(c, drawn, `copy ${i} `))
  const stored = recorded.flatMap((r) => r.stored)
  const shortest = devices.map(() => Infinity)
  const runs: (() => Promise<void>)[] = []
  const all = devices.reduceRight<() => Promise<void>>(
    (inner, device, d) => () =>
      withStore(device, stored, async () => {
        const loaded = device.load(planOf(recorded), { profile: true })
        const items = [{ plan: loaded, segment: 'all' }]
        const total = () => loaded.seconds!.reduce((sum, s) => sum + s, 0)
        await device.run(items, Object.assign({}, ...recorded.map((r) => r.uploads)))
        runs[d] = async () => {
          const before = total()
          await device.run(items, {})
          shortest[d] = Math.min(shortest[d]!, (total() - before) / copies)
        }
        await inner()
        loaded.dispose()
      }),
    async () => {
      const until = performance.now() + 1e3 * seconds * devices.length
      for (let run = 0; run < RUNS || performance.now() < until; run++) for (const once of runs) await once()
    },
  )
  await all()
  return shortest.map((least) => ({ seconds: least, flops, bytes }))
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

const giga = (x: number) => (x / 1e9).toFixed(1)

/** `times`: of the first device's time, where there are several */
function line(c: OpCase, activation: Activation, device: Device, { seconds, flops, bytes }: Timing, times?: number): string {
  const limits = device.limits()
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
    ...(times === undefined ? [] : [times.toFixed(3).padStart(7)]),
  ]
  return columns.join(' ')
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      threads: { type: 'string' },
      variant: { type: 'string' },
      dtype: { type: 'string' },
      warm: { type: 'boolean' },
      seconds: { type: 'string' },
    },
  })
  const counts = values.threads ? values.threads.split(',').map(Number) : [undefined]
  const wrong = counts.find((n) => n !== undefined && !(Number.isInteger(n) && n >= 1 && n <= runnableThreads()))
  if (wrong !== undefined) {
    console.error(
      `--threads ${values.threads}: give numbers from 1 to ${runnableThreads()}, as many threads as this process can run at once`,
    )
    process.exit(2)
  }
  const variants = values.variant ? values.variant.split(',') : [undefined]
  const seconds = values.seconds ? Number(values.seconds) : SECONDS
  for (const threads of counts) {
    const devices = variants.map((variant) => new CpuDevice({ threads, variant }))
    for (const device of devices) {
      const limits = device.limits()
      console.log(
        `${device.describe().label}: f32 ${giga(limits.f32)} GFLOP/s, bf16 ${giga(limits.bf16)} GFLOP/s, copy ${giga(limits.copy)} GB/s`,
      )
    }
    const chosen = cases.filter(
      (c) =>
        c.bench &&
        devices[0]!.describe().has(c.op.name) &&
        (positionals.length === 0 || positionals.some((p) => `${c.op.name}: ${c.name}`.includes(p))),
    )
    for (const c of chosen) {
      for (const activation of activations(c).filter((a) => !values.dtype || a === values.dtype)) {
        const timings = await time(devices, c, { activation, warm: values.warm === true, seconds })
        timings.forEach((timing, d) => {
          console.log(line(c, activation, devices[d]!, timing, d === 0 ? undefined : timing.seconds / timings[0]!.seconds))
        })
      }
    }
    for (const device of devices) device.dispose()
  }
}

await main()
