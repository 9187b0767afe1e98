/**
 * The whole 8B model's shape on the card, 2 × 2048 tokens, LoRA r16 on the seven projections, every token a target, 8-bit AdamW: tokens a
 * second of complete optimizer steps, keeping everything in bf16 and recomputing blocks on NF4. Weights are random.
 *   node bench/first-light-model.js [--layers N] [--out FILE]      (tools/cuda-pack.mjs compiles it)
 */
import { writeFileSync } from 'node:fs'
import { planPasses } from '../src/data/passes.ts'
import { CudaDevice } from '../src/devices/cuda/device.ts'
import { time } from '../src/devices/cuda/limits.ts'
import type { CudaPlan } from '../src/devices/cuda/plan.ts'
import { Optimizer } from '../src/engine/optimizer.ts'
import { predictSeconds } from '../src/engine/predict.ts'
import { PassRunner } from '../src/engine/runner.ts'
import type { Launch } from '../src/ops/cuda-launch.ts'
import { sft } from '../src/train/objectives/sft.ts'
import { generator, load, median, randomPool, randomRows, type Shape } from './first-light-setup.ts'

const TOKENS = 2048
const ROWS = 2
const VOCAB = 128256
const WARM_UP = 3
const REPEATS = 10

const cases: Record<string, Omit<Shape, 'layers'>> = {
  'bf16, everything kept': { vocab: VOCAB, nf4: false, chunk: 1024, policy: 'all' },
  'NF4 (nested), blocks recomputed': { vocab: VOCAB, nf4: true, chunk: 1024, policy: 'recompute' },
}

/** the largest quantised weight to bf16: ms, bytes/s (read + write) */
function dequantisation(device: CudaDevice, plan: CudaPlan) {
  let best: { bytes: number; launch: Launch } | undefined
  plan.plan.steps.forEach((step, i) => {
    for (const launch of plan.launches(i, i + 1)[0]!) {
      if (launch.kind !== 'kernel' || !launch.name.startsWith('dequantise')) continue
      const elements = Math.max(...step.inputs.map((t) => (t && plan.plan.buffers[t.buffer]!.dtype === 'nf4' ? t.rows * t.cols : 0)))
      const bytes = elements * (0.5 + 1 / 64 + 2)
      if (!best || bytes > best.bytes) best = { bytes, launch }
    }
  })
  if (!best) return undefined
  const { bytes, launch } = best
  const seconds = time(device.card, 10, 10, () => device.enqueue([launch]))
  return { ms: seconds * 1e3, bytesPerSecond: bytes / seconds }
}

async function measure(name: string, shape: Shape, pool: Uint8Array, bytes: Uint8Array) {
  const device = new CudaDevice()
  const before = device.card.memory()
  const start = performance.now()
  const { spec, trainables, layout } = load(device, pool, bytes, shape)
  const loadSeconds = (performance.now() - start) / 1e3
  const [pass] = planPasses(randomRows(ROWS, TOKENS, VOCAB, TOKENS), { maxPassTokens: ROWS * TOKENS, prefixSharing: false, quantum: 128 })
  const optimizer = new Optimizer(device, layout, { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, eightBit: true })
  const runner = new PassRunner(device, spec)
  const wall: number[] = []
  const losses: number[] = []
  let norm = 0
  for (let i = 0; i < WARM_UP + REPEATS; i++) {
    const start = performance.now()
    const logp = await runner.run(pass!, { seed: 0, step: i, lossScale: 1 / pass!.targets })
    norm = await optimizer.step(i + 1, 1e-4, 1)
    wall.push(performance.now() - start)
    losses.push(sft.loss.sum(pass!, logp) / pass!.targets)
    if (!(norm > 0) || !Number.isFinite(losses.at(-1)!)) throw new Error(`step ${i}: loss ${losses.at(-1)}, gradient norm ${norm}`)
  }
  const ms = median(wall.slice(WARM_UP))
  const plan = runner.plan(pass!.tokens) as CudaPlan
  const profiled = new PassRunner(device, { ...spec, profile: true })
  await profiled.run(pass!, { seed: 0, step: 0, lossScale: 1 / pass!.targets })
  const profile = profiled.plan(pass!.tokens)
  profile.seconds!.fill(0)
  await profiled.run(pass!, { seed: 0, step: 0, lossScale: 1 / pass!.targets })
  const ops: Record<string, number> = {}
  profile.plan.steps.forEach((step, i) => {
    ops[step.op] = (ops[step.op] ?? 0) + profile.seconds![i]! * 1e3
  })
  const limits = device.limits()
  const after = device.card.memory()
  const work = { chunks: Math.ceil(pass!.headCount / shape.chunk), pairs: (ROWS * TOKENS * (TOKENS + 1)) / 2 }
  const result = {
    name,
    layers: shape.layers,
    tokensPerSecond: (ROWS * TOKENS) / (ms / 1e3),
    stepMs: ms,
    firstStepsMs: wall.slice(0, WARM_UP),
    losses,
    gradientNorm: norm,
    loadSeconds,
    planSteps: plan.plan.steps.length,
    arenaGiB: plan.plan.arena / 2 ** 30,
    residentGiB: (device.resident().arena + device.resident().store) / 2 ** 30,
    usedGiB: (before.free - after.free) / 2 ** 30,
    deviceUsedGiB: (after.total - after.free) / 2 ** 30,
    predictedMs: predictSeconds(plan.plan, work, { limits, reach: device.describe().reach }) * 1e3,
    predictedAtTheLimitMs: predictSeconds(plan.plan, work, { limits, reach: { compute: 1, copy: 1 } }) * 1e3,
    limits,
    dequantisation: dequantisation(device, plan),
    opsMs: ops,
  }
  console.log(JSON.stringify(result, null, 1))
  profiled.dispose()
  runner.dispose()
  optimizer.dispose()
  trainables.dispose()
  device.dispose()
  return result
}

async function main(args: string[]): Promise<void> {
  const option = (name: string) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined)
  const layers = Number(option('--layers') ?? 32)
  const pool = randomPool(VOCAB * 4096 + (1 << 20), 0.02)
  const random = generator(5)
  const bytes = Uint8Array.from({ length: (4096 * 14336) / 2 }, () => random() * 256)
  const results = []
  for (const [name, shape] of Object.entries(cases)) results.push(await measure(name, { ...shape, layers }, pool, bytes))
  const device = new CudaDevice()
  const card = device.describe().label
  device.dispose()
  const out = option('--out')
  const command = 'node bench/first-light-model.js'
  if (out) writeFileSync(out, JSON.stringify({ date: new Date().toISOString(), command, card, results }, null, 1))
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
