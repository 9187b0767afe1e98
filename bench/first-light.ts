/**
 * First light on CUDA: bf16 Llama blocks of the 8B model's shape with LoRA r16 on the seven projections, 2 × 2048 tokens, forward and
 * backward. One block's cost is the difference between a model of four blocks and of one, so that embedding, head and the first block (which
 * needs no gradient of its input) drop out. The products' own time is measured in the same run, on the same buffers.
 *   node bench/first-light.js [--out FILE]      (tools/cuda-pack.mjs compiles it)
 */
import { writeFileSync } from 'node:fs'
import { chooseAdapter } from '../src/adapters/choose.ts'
import { planPasses } from '../src/data/passes.ts'
import { CudaDevice } from '../src/devices/cuda/device.ts'
import { probeProduct, time } from '../src/devices/cuda/limits.ts'
import type { CudaPlan } from '../src/devices/cuda/plan.ts'
import { PassRunner } from '../src/engine/runner.ts'
import { Trainables } from '../src/engine/trainables.ts'
import type { AdapterConfig } from '../src/formats/peft/config.ts'
import type { Checkpoint } from '../src/formats/tensor.ts'
import { layoutParameters } from '../src/graph/layout.ts'
import { inspect } from '../src/graph/training.ts'
import { openConfig } from '../src/models/registry.ts'
import type { Launch, MatmulLaunch } from '../src/ops/cuda-launch.ts'

const TOKENS = 2048
const ROWS = 2
const WARM_UP = 5
const REPEATS = 30
const VOCAB = 256

const config = (layers: number) => ({
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 14336,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  num_hidden_layers: layers,
  vocab_size: VOCAB,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
  max_position_embeddings: 8192,
  hidden_act: 'silu',
  tie_word_embeddings: false,
})

const lora: AdapterConfig = {
  baseModelNameOrPath: null,
  revision: null,
  initLoraWeights: true,
  taskType: 'CAUSAL_LM',
  autoMapping: null,
  inferenceMode: false,
  r: 16,
  loraAlpha: 16,
  loraDropout: 0,
  useRslora: false,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  excludeModules: null,
  bias: 'none',
  modulesToSave: null,
  layersToTransform: null,
  layersPattern: null,
  rankPattern: {},
  alphaPattern: {},
  loraBias: false,
}

/** xorshift32 */
function generator(seed: number): () => number {
  let s = seed
  return () => {
    s ^= s << 13
    s ^= s >>> 17
    s ^= s << 5
    return (s >>> 0) / 2 ** 32
  }
}

/** uniform numbers of deviation `std` in bf16, enough for the largest weight */
function randomPool(elements: number, std: number): Uint8Array {
  const random = generator(7)
  const out = new Uint16Array(elements)
  const float = new Float32Array(1)
  const bits = new Uint32Array(float.buffer)
  for (let i = 0; i < elements; i++) {
    float[0] = (2 * random() - 1) * std * Math.sqrt(3)
    out[i] = (bits[0]! + 0x8000) >>> 16
  }
  return new Uint8Array(out.buffer)
}

const median = (x: number[]) => [...x].sort((a, b) => a - b)[x.length >> 1]!

interface Measured {
  layers: number
  wallMs: number
  leastWallMs: number
  hostMs: number
  products?: Record<string, number>
  ops?: Record<string, { ms: number; launches: number }>
}

function load(device: CudaDevice, pool: Uint8Array, layers: number) {
  const model = openConfig(config(layers))
  const adapter = chooseAdapter({ kind: 'lora', config: lora }, { nf4: false, head: model.head.path }, true)
  const recorder = inspect(model, adapter, 'bf16')
  let offset = 0
  for (const { name, rows, cols, dtype } of recorder.weights.values()) {
    if (device.has(name)) continue
    const size = rows * cols * 2
    if (rows === 1) {
      const ones = new Uint8Array(new Uint16Array(cols).fill(0x3f80).buffer)
      device.store(name, { rows, cols, dtype, source: { kind: 'data', bytes: ones } })
      continue
    }
    offset = (offset + 8192 * 2) % (pool.length - size)
    device.store(name, { rows, cols, dtype, source: { kind: 'data', bytes: pool.subarray(offset, offset + size) } })
  }
  const layout = layoutParameters(recorder.parameters.values(), `${layers}.`)
  const trainables = new Trainables(device, layout, {} as Checkpoint, 0)
  const random = generator(11)
  for (const name of trainables.names) {
    const { rows, cols } = trainables.shape(name)
    trainables.set(
      name,
      Float32Array.from({ length: rows * cols }, () => (random() - 0.5) * 0.02),
    )
  }
  const spec = { model, adapter, activation: 'bf16' as const, layout, chunk: 128, policy: () => () => 'all' as const, gradients: true }
  return { spec, trainables }
}

const random = generator(3)
const examples = Array.from({ length: ROWS }, (_, row) => ({
  ids: Int32Array.from({ length: TOKENS }, () => Math.floor(random() * VOCAB)),
  targets: Uint8Array.from({ length: TOKENS }, (_, i) => (i > TOKENS - 65 ? 1 : 0)),
  row,
  source: 'random',
}))

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
  const { spec, trainables } = load(device, pool, layers)
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
