/**
 * `npm run test:cuda -- [part …] [--op NAME] [--share I/N] [--most N] [--out FILE]`: the CUDA device held against the definitions, transformers, TRL and the
 * CPU. Needs a card. Parts take up to a few minutes each: ops, families, training, curves, generation, overlap, memory, cards, faults; and sanitizer (by name alone), which
 * runs ops under NVIDIA's compute-sanitizer, a share of the cases in each process; --most N: cases of at most N numbers alone, for that. tools/cuda-pack.mjs packs it for a machine without a checkout.
 * Exit code 1: something is off.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { CudaDevice } from '../src/devices/cuda/device.ts'
import { cases } from '../src/ops/generated/cases.ts'
import { checkCards } from './cuda-test/cards.ts'
import { checkCurves } from './cuda-test/curves.ts'
import { checkFamilies } from './cuda-test/families.ts'
import { checkFaults } from './cuda-test/faults.ts'
import { findings, grouped, messageOf, note, printFindings } from './cuda-test/findings.ts'
import { checkGeneration } from './cuda-test/generation.ts'
import { checkMemory } from './cuda-test/memory.ts'
import { checkOps } from './cuda-test/ops.ts'
import { checkOverlap } from './cuda-test/overlap.ts'
import { checkSanitizer } from './cuda-test/sanitizer.ts'
import { checkTraining } from './cuda-test/training.ts'

const { values, positionals } = parseArgs({
  options: { op: { type: 'string' }, share: { type: 'string' }, most: { type: 'string', default: 'Infinity' }, out: { type: 'string' } },
  allowPositionals: true,
})

const PARTS: Record<string, () => void | Promise<void>> = {
  ops: () => checkOps(values.op, undefined, most, values.share),
  families: () => checkFamilies(),
  training: checkTraining,
  curves: () => checkCurves(),
  generation: checkGeneration,
  overlap: checkOverlap,
  memory: checkMemory,
  cards: checkCards,
  sanitizer: () => checkSanitizer(values.op, most),
  // a kernel's fault leaves the process without its card
  faults: checkFaults,
}
const unknown = positionals.find((part) => !(part in PARTS))
if (unknown !== undefined) {
  console.error(`test:cuda has no part ${unknown}; it has ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}
const most = Number(values.most)
if (!(most > 0)) {
  console.error(`--most ${values.most}: a number is wanted, of the numbers that a case has at most`)
  process.exit(2)
}
const [shareOf, shares] =
  /^(\d+)\/(\d+)$/
    .exec(values.share ?? '0/1')
    ?.slice(1)
    .map(Number) ?? []
if (!(shareOf! < shares!)) {
  console.error(`--share ${values.share}: I/N is wanted, each Nth case from the Ith on, I below N, as in 0/4`)
  process.exit(2)
}
if (values.op !== undefined && !cases.some((c) => c.op.name.startsWith(values.op!))) {
  console.error(`no op's name begins with ${values.op}; there are ${[...new Set(cases.map((c) => c.op.name))].join(', ')}`)
  process.exit(2)
}
const chosen = Object.keys(PARTS).filter((part) => (positionals.length > 0 ? positionals.includes(part) : part !== 'sanitizer'))

const device = new CudaDevice()
const { label: card } = device.describe()
const libraries = device.libraries()
device.dispose()
console.log(card)
console.log(JSON.stringify(libraries))

const seconds: Record<string, number> = {}
for (const part of chosen) {
  const began = performance.now()
  const before = findings.length
  try {
    await PARTS[part]!()
  } catch (error) {
    note(`${part}: ended by an error`, Infinity, 0, messageOf(error))
  }
  seconds[part] = (performance.now() - began) / 1e3
  const own = findings.slice(before)
  // a part that found nothing has checked nothing
  if (own.length === 0 && !values.share) note(`${part}: no checks`, 1, 0)
  console.log(`${part}: ${own.filter((f) => f.ok).length} of ${own.length} within their tolerance, ${seconds[part]!.toFixed(1)} s`)
}

const failed = printFindings()
if (values.out) {
  const report = { card, libraries, date: new Date().toISOString(), parts: seconds, checks: findings.length, failed, groups: grouped() }
  writeFileSync(values.out, JSON.stringify(report, null, 1))
}
process.exitCode = failed.length > 0 ? 1 : 0
