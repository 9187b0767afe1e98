/**
 * First light on CUDA: bf16 Llama blocks of the 8B model's shape with LoRA r16 on the seven projections, 2 × 2048 tokens, forward and
 * backward. One block's cost is the difference between a model of four blocks and of one, so that embedding, head and the first block (which
 * needs no gradient of its input) drop out. The products' own time is measured in the same run, on the same buffers.
 *   node bench/first-light.js [--out FILE]      (tools/cuda-pack.mjs compiles it)
 */
import { writeFileSync } from 'node:fs'
import { planPasses } from '../src/data/passes.ts'
import { CudaDevice } from '../src/devices/cuda/device.ts'
import { probeProduct, time } from '../src/devices/cuda/limits.ts'
import type { CudaPlan } from '../src/devices/cuda/plan.ts'
import { PassRunner } from '../src/engine/runner.ts'
import type { Launch, MatmulLaunch } from '../src/ops/cuda-launch.ts'
import { load, median, randomPool, randomRows } from './first-light-setup.ts'

const TOKENS = 2048
const ROWS = 2
const WARM_UP = 5
const REPEATS = 30
const VOCAB = 256

interface Measured {
  layers: number
  wallMs: number
  leastWallMs: number
  hostMs: number
  products?: Record<string, number>
  ops?: Record<string, { ms: number; launches: number }>
}

const examples = randomRows(ROWS, TOKENS, VOCAB, 64)

/** ms of all products of a middle block, each kind on its own */
function productsOf(device: CudaDevice, plan: CudaPlan, block: number): Record<string, number> {
  const matmuls = (kind: (m: MatmulLaunch) => boolean) => {
    const list: MatmulLaunch[] = []
    plan.plan.steps.forEach((step, i) => {
      if (step.block !== block) return
      for (const l of plan.launches(i, i + 1)[0] as Launch[]) if (l.kind === 'matmul' && kind(l)) list.push(l)
    })
    return list
  }
  const ms = (list: MatmulLaunch[]) => {
    const run = () => {
      for (const m of list) device.matmuls.run(m)
    }
    return 1e3 * time(device.card, 10, 4, run)
  }
  const small = (m: MatmulLaunch) => Math.min(m.a.rows, m.a.cols, m.b.rows, m.b.cols) <= 64
  const [large, low] = [matmuls((m) => !small(m)), matmuls(small)]
  const flops = (list: MatmulLaunch[]) =>
    list.reduce((sum, { a, y }) => sum + (2 * a.rows * a.cols * y.rows * y.cols) / (y.rows === a.rows ? a.rows : a.cols), 0)
  const [largeMs, lowMs] = [ms(large), ms(low)]
  return { largeMs, largeCount: large.length, largeTflops: flops(large) / largeMs / 1e9, lowRankMs: lowMs, lowRankCount: low.length }
}

async function measure(device: CudaDevice, pool: Uint8Array, layers: number): Promise<Measured> {
  const { spec, trainables } = load(device, pool, new Uint8Array(), { layers, vocab: VOCAB, nf4: false, chunk: 128, policy: 'all' })
  const [pass] = planPasses(examples, { maxPassTokens: ROWS * TOKENS, prefixSharing: false, quantum: 128 })
  const step = { seed: 0, step: 0, lossScale: 1 / pass!.targets }
  const runner = new PassRunner(device, spec)
  const wall: number[] = []
  const host: number[] = []
  const firsts: number[] = []
  for (let i = 0; i < WARM_UP + REPEATS; i++) {
    const start = performance.now()
    const logp = await runner.run(pass!, step)
    const took = performance.now() - start
    if (!logp.every(Number.isFinite)) throw new Error('a log-probability is not finite')
    if (i < WARM_UP) firsts.push(took)
    else {
      wall.push(took)
      host.push(device.hostSeconds * 1e3)
    }
  }
  console.log(
    `${layers} blocks: first runs ${firsts.map((x) => x.toFixed(1)).join(', ')} ms; then ${median(wall).toFixed(2)} ms, host ${median(host).toFixed(3)} ms`,
  )
  const norm = Math.sqrt(trainables.names.reduce((sum, name) => sum + trainables.get(name, 'gradients').reduce((s, g) => s + g * g, 0), 0))
  if (!(norm > 0)) throw new Error('no gradient arrived')
  const result: Measured = { layers, wallMs: median(wall), leastWallMs: Math.min(...wall), hostMs: median(host) }
  if (layers > 1) {
    result.products = productsOf(device, runner.plan(pass!.tokens) as CudaPlan, 1)
    const profiled = new PassRunner(device, { ...spec, profile: true })
    const runs = 10
    for (let i = 0; i <= runs; i++) {
      await profiled.run(pass!, step)
      if (i === 0) profiled.plan(pass!.tokens).seconds!.fill(0)
    }
    const plan = profiled.plan(pass!.tokens) as CudaPlan
    result.ops = {}
    plan.plan.steps.forEach((s, i) => {
      if (s.block !== 1) return
      const entry = (result.ops![s.op] ??= { ms: 0, launches: 0 })
      entry.ms += (plan.seconds![i]! / runs) * 1e3
      entry.launches += plan.launches(i, i + 1)[0]!.length
    })
    profiled.dispose()
  }
  runner.dispose()
  trainables.dispose()
  return result
}

async function main(args: string[]): Promise<void> {
  const device = new CudaDevice()
  const { label } = device.describe()
  const pool = randomPool(4096 * 14336 + (8 << 20), 0.02)
  const one = await measure(device, pool, 1)
  const four = await measure(device, pool, 4)
  const limits = { ...device.limits(), bf16At8192: probeProduct(device.card, device.matmuls, 'bf16', 8192) }
  const again = await measure(device, pool, 1)
  const blockMs = (four.wallMs - Math.min(one.wallMs, again.wallMs)) / 3
  const tokens = ROWS * TOKENS
  const products = four.products!
  const own = products.largeMs! + products.lowRankMs!
  const summary = {
    card: label,
    blockMs,
    tokensPerSecondOfOneBlock: tokens / blockMs / 1e-3,
    hostMsAStep: four.hostMs,
    productsOwnMs: own,
    shareOfProducts: own / blockMs,
    shareOfLargeProducts: products.largeMs! / blockMs,
    memory: device.card.memory(),
    resident: device.resident(),
  }
  console.log(JSON.stringify(summary, null, 1))
  console.log(JSON.stringify({ limits, products }, null, 1))
  const ops = Object.entries(four.ops!).sort((a, b) => b[1].ms - a[1].ms)
  for (const [op, { ms, launches }] of ops) console.log(`${op.padEnd(28)} ${ms.toFixed(3)} ms  ${launches} launches`)
  const at = args.indexOf('--out')
  if (at >= 0) {
    writeFileSync(
      args[at + 1]!,
      JSON.stringify(
        {
          date: new Date().toISOString(),
          command: 'node bench/first-light.js',
          summary,
          limits,
          one,
          four,
          again,
          libraries: device.libraries(),
        },
        null,
        1,
      ),
    )
  }
  device.dispose()
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
