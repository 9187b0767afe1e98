/**
 * One case of `bench:cuda` in a process of its own, so that its memory is its own: opens the model and trains it as a program would. Says
 * where it is (`MARK …` with a time) for who watches its memory, and prints one line of JSON at the end.
 *   node cuda-case.js '{ "name", "model", "rows", "output", … }'      bench/cuda.ts starts it
 */
import { readFileSync } from 'node:fs'
import { FastLanguageModel, openDevice, SFTTrainer, type TrainEvent } from '../src/index.ts'
import { CASES, COUNTED, type CudaCase, SIZES, WARM_UP } from './cuda-cases.ts'
import { profile } from './cuda-plan.ts'

export interface CaseRequest {
  name: string
  /** folder with the weights, as the case wants them */
  model: string
  /** JSON: rows of token ids, a step's rows one after the other */
  rows: string
  output: string
  /** bytes, instead of what the case says */
  memory?: number
  maxPassTokens?: number
}

const request = JSON.parse(process.argv[2]!) as CaseRequest
const c = CASES.find((one) => one.name === request.name)!
const mark = (what: string) => console.log(`MARK ${what} ${Date.now()}`)

/** rows of a step, steps of the data, and how often it is gone through: rows of many lengths are warm the second time */
function cut({ rows, first }: CudaCase) {
  const accumulation = rows.kind === 'alpaca' ? rows.accumulation : 1
  const steps = first ? 2 : WARM_UP + COUNTED[rows.kind]
  return { batch: rows.batch, accumulation, steps, rounds: rows.kind === 'alpaca' ? 2 : 1 }
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!

const { batch, accumulation, steps, rounds } = cut(c)
const rows = (JSON.parse(readFileSync(request.rows, 'utf8')) as number[][]).slice(0, steps * batch * accumulation)
const began = performance.now()
const device = await openDevice('cuda')
const { model, tokenizer } = await FastLanguageModel.fromPretrained(request.model, { device, loadIn4bit: c.weights === 'nf4' })
const { linears, parameters } = SIZES[c.size]
const peft = FastLanguageModel.getPeftModel(model, {
  r: c.r ?? 16,
  loraAlpha: 16,
  loraDropout: c.dropout ?? 0,
  bias: c.bias ?? 'none',
  targetModules: c.head ? [...linears, 'lm_head'] : [...linears],
  targetParameters: parameters.length > 0 ? [...parameters] : null,
})
const loadSeconds = (performance.now() - began) / 1000
mark('loaded')

const args = {
  maxSteps: steps * rounds,
  perDeviceTrainBatchSize: batch,
  gradientAccumulationSteps: accumulation,
  maxLength: null,
  maxPassTokens: request.maxPassTokens ?? null,
  learningRate: 2e-4,
  lrSchedulerType: 'constant',
  weightDecay: 0.01,
  optim: 'adamw_8bit',
  // a baseline's loop asks a mixture for its loss without the term that balances experts
  ...(parameters.length > 0 ? { routerAuxLossCoef: 0 } : {}),
  prefixSharing: c.prefixSharing ?? false,
  trainSamplingStrategy: 'sequential',
  loggingSteps: 1,
  saveStrategy: 'no',
  outputDir: request.output,
} as const
const data = rows.map((input_ids) => ({ input_ids }))
const memory = request.memory ?? (c.memory === 'free' ? null : c.memory * 2 ** 30)
const trainer = new SFTTrainer({ model: peft, processingClass: tokenizer, trainDataset: data, memory, args, report: 'none' })

const asked = performance.now()
let start: Extract<TrainEvent, { type: 'start' }> | undefined
let startSeconds = 0
const losses: number[] = []
const gradNorms: number[] = []
const seconds: number[] = []
const speeds: { tokensPerSecond: number; computedTokensPerSecond: number; share: number }[] = []
let last = asked
for await (const event of trainer.stream()) {
  const now = performance.now()
  if (event.type === 'start') {
    start = event
    startSeconds = (now - asked) / 1000
    last = now
    mark('started')
  } else if (event.type === 'step') {
    losses.push(event.loss)
    seconds.push((now - last) / 1000)
    const { tokensPerSecond, computedTokensPerSecond, share } = event
    speeds.push({ tokensPerSecond, computedTokensPerSecond, share })
    last = now
    if (event.step === WARM_UP || c.first) mark('warm')
  } else if (event.type === 'log') gradNorms.push(event.gradNorm)
}
mark('done')
if (gradNorms.some((n) => !(n > 0))) throw new Error('a gradient norm is zero: nothing was trained')

const counted = c.first ? [steps - 1] : Array.from({ length: steps - WARM_UP }, (_, i) => (rounds - 1) * steps + WARM_UP + i)
const of = (values: readonly number[]) => counted.map((i) => values[i]!)
const stepSeconds = median(of(seconds))
const limits = device.limits()
const planned = c.first
  ? null
  : await profile(
      peft,
      data,
      args,
      memory,
      counted.map((i) => i % steps),
    )
if (planned && planned.planHash !== start!.planHash) throw new Error('the profile is of another plan than the run')
const limitsAfter = device.limits({ anew: true })
const total = of(seconds).reduce((a, b) => a + b, 0)
console.log(
  JSON.stringify({
    case: c.name,
    device: device.describe().label,
    tokensPerSecond: median(of(speeds.map((s) => s.tokensPerSecond))),
    computedTokensPerSecond: median(of(speeds.map((s) => s.computedTokensPerSecond))),
    share: median(of(speeds.map((s) => s.share))),
    atTheLimit: planned && planned.limitSeconds / total,
    stepSeconds,
    seconds,
    /** from the call to the first step's end: rows, plans, kernels, graphs */
    firstStepSeconds: startSeconds + seconds[0]!,
    startSeconds,
    loadSeconds,
    losses,
    gradNorms,
    predictedSeconds: start!.predictedSeconds,
    passesPerStep: start!.passesPerStep,
    planHash: start!.planHash,
    memoryGiven: memory,
    predictedBytes: start!.memory.total + start!.memory.overhead,
    table: start!.memory,
    limits,
    limitsAfter,
    ...(c.rows.kind === 'sizes' ? { newSizeSeconds: newSizes() } : {}),
    opsMs: planned?.opsMs,
    opsLimitMs: planned?.opsLimitMs,
    planOps: planned?.planOps,
    passTokens: planned?.maxPassTokens,
    policies: planned?.policies,
  }),
)
await peft.dispose()
await model.dispose()
device.dispose()

/** what the first step of a size takes beyond the second of that size */
function newSizes(): number[] {
  return Array.from({ length: steps / 3 }, (_, i) => seconds[3 * i]! - seconds[3 * i + 1]!).slice(1)
}
