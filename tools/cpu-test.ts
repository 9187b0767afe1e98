/**
 * `npm run test:cpu -- [--variant NAME] [--threads 1,3,16] [--out FILE]`: a variant of the CPU library on a machine that has it, held against
 * the definitions, transformers and TRL, and, the tiles', against its emulation bit for bit. tools/cuda-pack.mjs packs it for a machine
 * without a checkout. Exit code 1: something is off.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CpuDevice } from '../src/devices/cpu/device.ts'
import type { Device } from '../src/devices/device.ts'
import { ReferenceDevice } from '../src/devices/reference/device.ts'
import { SaqrError } from '../src/error.ts'
import { cases } from '../src/ops/generated/cases.ts'
import type { CaseInput, OpCase } from '../src/ops/op.ts'
import { productOp } from '../src/ops/product/op.ts'
import { draw } from '../test/ops/draw.ts'
import { activations, evaluate, label } from '../test/ops/harness.ts'
import { checkCurves } from './cuda-test/curves.ts'
import { checkFamilies } from './cuda-test/families.ts'
import { families, findings, grouped, largest, messageOf, note, printFindings } from './cuda-test/findings.ts'
import { checkOps } from './cuda-test/ops.ts'
import { on, type Trained } from './cuda-test/train.ts'

const EMULATED = 'x86-64-amx-emulated'
const PLAIN = 'x86-64-v3'
const { values } = parseArgs({
  options: { variant: { type: 'string' }, threads: { type: 'string', default: '1,3,16' }, out: { type: 'string' } },
})
const counts = values.threads.split(',').map(Number)
const open = (threads: number, variant = values.variant) => new CpuDevice({ threads, variant })

const first = open(counts[0]!)
const device = first.describe().label
const limits = first.limits({ anew: true })
first.dispose()
console.log(`${cpus()[0]!.model}, ${cpus().length} processors: ${device}`)

const PARTS: Record<string, () => Promise<void>> = {
  ops: () => checkOps(undefined, () => open(counts.at(-1)!)),
  threads: checkThreads,
  families: () => checkFamilies(() => open(counts.at(-1)!)),
  halves: checkHalves,
  curves: () => checkCurves(() => open(counts.at(-1)!)),
}
for (const [part, check] of Object.entries(PARTS)) {
  const before = findings.length
  const began = performance.now()
  try {
    await check()
  } catch (error) {
    note(`${part}: ended by an error`, Infinity, 0, messageOf(error))
  }
  const own = findings.slice(before)
  // a part that found nothing has checked nothing
  if (own.length === 0) note(`${part}: no checks`, 1, 0)
  console.log(
    `${part}: ${own.filter((f) => f.ok).length} of ${own.length} within their tolerance, ${((performance.now() - began) / 1e3).toFixed(1)} s`,
  )
}
const failed = printFindings()
if (values.out) {
  const report = {
    processor: cpus()[0]!.model,
    device,
    limits,
    date: new Date().toISOString(),
    checks: findings.length,
    failed,
    groups: grouped(),
  }
  writeFileSync(values.out, JSON.stringify(report, null, 1))
}
process.exitCode = failed.length > 0 ? 1 : 0

/** Every case gives the same bits with any number of threads, and, where the variant is the tiles', in the emulation. */
async function checkThreads(): Promise<void> {
  const devices: [string, Device][] = counts.map((n) => [`${n} threads`, open(n)])
  if (device.includes('amx')) devices.push(['emulated', emulation()])
  // beyond what is laid out at once: columns, the reduction, rows whose sums are kept
  const large = [
    [300, 9000, 70],
    [1100, 1100, 4200],
    [70, 300, 50000],
  ].map(([M, N, K]): OpCase => {
    const inputs: CaseInput[] = [
      { rows: M!, cols: K!, dtype: 'act' },
      { rows: N!, cols: K!, dtype: 'bf16', space: 'store', scale: K! ** -0.5 },
    ]
    const attrs = { alpha: 1, trans: false }
    return { name: `${M} × ${N} of ${K}`, op: productOp, attrs, inputs: [null, null, ...inputs], tolerance: { f32: 3e-6, bf16: 1e-2 } }
  })
  const { has } = devices[0]![1].describe() // others have ops of their own
  for (const c of [...cases.filter((c) => !c.bench && has(c.op.name)), ...large]) {
    for (const activation of activations(c)) {
      const drawn = draw(c, activation)
      let right: Uint8Array[] | undefined
      for (const [name, device] of devices) {
        const bytes = (await evaluate(device, c, drawn)).map((o) => o.bytes)
        right ??= bytes
        const same = bytes.every((b, o) => Buffer.compare(b, right![o]!) === 0)
        note(`bits of ${c.op.name}: ${label(c, activation)}, ${name} as ${devices[0]![0]}`, same ? 0 : 1, 0)
      }
    }
  }
  for (const [, device] of devices) device.dispose()
}

function emulation(): Device {
  try {
    return open(2, EMULATED)
  } catch (error) {
    throw error instanceof SaqrError
      ? new Error(`${error.message} (the emulation is built by \`node native/build.mjs --variant ${EMULATED}\`)`)
      : error
  }
}

/**
 * Training in bf16, where products take the variant's own way: thirty steps, plain and over NF4. The first step's gradients against f32 in the
 * reference device: they turn away from it as far as those of the plainest variant, which rounds the same tensors to bf16 and differs in the
 * order of f32 sums alone; half as much again is allowed.
 */
async function checkHalves(): Promise<void> {
  for (const name of ['llama-gqa-tied', 'llama-biases']) {
    for (const loadIn4bit of [false, true]) {
      const setup = { folder: join(families, name), loadIn4bit, eightBit: false, policy: 'all', quantum: 16 } as const
      const what = `bf16 ${name}, ${loadIn4bit ? 'NF4' : 'plain'} base`
      const reference = await on(new ReferenceDevice(), { ...setup, dtype: 'f32' }, 1)
      const runs = []
      for (const n of counts) runs.push(await on(open(n), { ...setup, dtype: 'bf16' }, 30))
      const [one] = runs
      for (const [i, run] of runs.entries())
        note(`${what}: the same losses with ${counts[i]} threads`, run.losses.every((l, s) => l === one!.losses[s]) ? 0 : 1, 0)
      const plain = await on(open(2, PLAIN), { ...setup, dtype: 'bf16' }, 30)
      const curve = ({ losses }: Trained) => `${losses[0]!.toFixed(4)} -> ${losses[29]!.toFixed(4)}`
      note(
        `${what}: gradients' 1 − cosine`,
        angle(one!, reference),
        1.5 * angle(plain, reference),
        `${curve(one!)}, ${PLAIN} ${curve(plain)}`,
      )
      // runs of bf16 don't stay together for long: the first three losses
      note(`${what}: losses beside ${PLAIN}'s`, largest(one!.losses.slice(0, 3), plain.losses.slice(0, 3)), 0.05)
    }
  }
}

/** 1 − the cosine between two runs' first gradients */
function angle(a: Trained, b: Trained): number {
  let [ab, aa, bb] = [0, 0, 0]
  for (const [name, values] of a.gradients) {
    const others = b.gradients.get(name)!
    values.forEach((x, i) => {
      ab += x * others[i]!
      aa += x * x
      bb += others[i]! ** 2
    })
  }
  return 1 - ab / Math.sqrt(aa * bb)
}
