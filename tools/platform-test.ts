/**
 * What runs on a platform to show that its kernels are right there (tools/platforms.mjs starts it, under an emulator where need be):
 *   node platform-test.js [--ops NAME,…] [--small] [--variant NAME] [--threads N] [--write FILE | --against FILE] [--report FILE]
 * every op's cases (--small: the small ones) held against the definitions in f64, and a small model trained for a few steps, whose gradients and losses are written, or
 * held against those that another platform wrote. Exit code 1: something is off.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CpuDevice } from '../src/devices/cpu/device.ts'
import { platformHere } from '../src/devices/platforms.ts'
import { runtime } from '../src/hub/version.ts'
import { cases } from '../src/ops/generated/cases.ts'
import { families, findings, note, printFindings } from './cuda-test/findings.ts'
import { checkOps, SMALL } from './cuda-test/ops.ts'
import { on } from './cuda-test/train.ts'

const { values } = parseArgs({
  options: {
    ops: { type: 'string' },
    small: { type: 'boolean', default: false },
    variant: { type: 'string' },
    threads: { type: 'string', default: '2' },
    write: { type: 'string' },
    against: { type: 'string' },
    report: { type: 'string' },
  },
})
const open = () => new CpuDevice({ threads: Number(values.threads), variant: values.variant })

const first = open()
const { label } = first.describe()
console.log(`${platformHere().name}, ${runtime()}: ${label}`)
first.dispose()

// each name begins those of its gradients
const all = [...new Set(cases.map((c) => c.op.name))].sort()
const names = values.ops?.split(',') ?? all.filter((name) => !all.some((other) => other !== name && name.startsWith(other)))
const unknown = names.filter((name) => name !== 'none' && !all.includes(name))
if (unknown.length > 0) {
  console.error(`no op is called ${unknown.join(', ')}; there are ${all.join(', ')}`)
  process.exit(2)
}
for (const name of names) {
  const [before, began] = [findings.length, performance.now()]
  await checkOps(name, open, values.small ? SMALL : undefined)
  const own = findings.slice(before)
  const holds = own.filter((f) => f.ok).length
  console.log(`${name}: ${holds} of ${own.length} within their tolerance, ${((performance.now() - began) / 1e3).toFixed(1)} s`)
}

/** of a model that trains: losses of all steps, gradients of the first */
interface Run {
  losses: number[]
  gradients: Record<string, number[]>
}

/** of gradients: the order of sums and how a multiply-add rounds differ by device; the same bound as against transformers (docs/design.md, 4) */
const GRADIENT = 1e-5
/** of losses after up to five updates with the learning rate of the curves' check */
const LOSS = 1e-4

const began = performance.now()
const setup = {
  folder: join(families, 'llama-gqa-tied'),
  dtype: 'f32',
  loadIn4bit: false,
  eightBit: false,
  policy: 'all',
  quantum: 16,
} as const
const trained = await on(open(), setup, 5)
const run: Run = {
  losses: trained.losses,
  gradients: Object.fromEntries([...trained.gradients].map(([name, values]) => [name, [...values]])),
}
console.log(`five steps: ${run.losses.map((l) => l.toFixed(6)).join(' ')}, ${((performance.now() - began) / 1e3).toFixed(1)} s`)
if (values.write) writeFileSync(values.write, JSON.stringify(run))
if (values.against) compare(run, JSON.parse(readFileSync(values.against, 'utf8')) as Run)

const variant = / threads?[^,]*, ([^\s,]+)/.exec(label)?.[1]
if (values.report)
  writeFileSync(
    values.report,
    JSON.stringify({ variant, runtime: runtime(), ops: names.filter((name) => name !== 'none').length, small: values.small }),
  )
process.exitCode = printFindings().length > 0 ? 1 : 0

function compare(run: Run, other: Run): void {
  for (const [name, right] of Object.entries(other.gradients)) {
    const own = run.gradients[name]!
    note(`gradient: ${name}`, Math.hypot(...own.map((x, i) => x - right[i]!)) / Math.hypot(...right), GRADIENT)
  }
  for (const [i, right] of other.losses.entries()) note(`loss: step ${i + 1}`, Math.abs(run.losses[i]! - right), LOSS)
}
