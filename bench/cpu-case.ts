/** One case of `bench:cpu` in a process of its own, so that its peak memory is its own. Prints one line of JSON. */
import { readFileSync } from 'node:fs'
import { Dataset } from '../src/data/dataset.ts'
import { CpuDevice } from '../src/devices/cpu/device.ts'
import { type LoadedPlan, overheadBytes } from '../src/devices/device.ts'
import { storeBytes } from '../src/engine/budget.ts'
import { LanguageModel } from '../src/engine/language-model.ts'
import { OpenedModel } from '../src/engine/opened-model.ts'
import { loraConfig } from '../src/formats/peft/config.ts'
import type { Plan } from '../src/graph/plan.ts'
import { tracePass } from '../src/graph/training.ts'
import { openCheckpoint } from '../src/models/checkpoint.ts'
import { Tokenizer } from '../src/text/tokenizer.ts'
import type { EndEvent, StartEvent } from '../src/track/events.ts'
import { sft } from '../src/train/objectives/sft.ts'
import { SFTTrainer } from '../src/train/sft-trainer.ts'
import { CASES, type CpuCase } from './cpu-cases.ts'

const PROJECTIONS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
/** the first is not counted: pages are touched, plans are made */
const STEPS = 7

const [name, modelPath, rowsPath, outputDir, threads, variant, policy] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
  string?,
]
const c = CASES.find((one) => one.name === name)!

/** The time of every step is read: one clock a step, of one thread. */
class ProfiledDevice extends CpuDevice {
  readonly #loaded: LoadedPlan[] = []
  override load(plan: Plan): LoadedPlan {
    const loaded = super.load(plan, { profile: true })
    this.#loaded.push(loaded)
    return loaded
  }
  /** seconds by op since the device was made, products by their sizes; of the plans that are still loaded */
  byOp(): Record<string, number> {
    const sums: Record<string, number> = {}
    for (const { plan, seconds } of this.#loaded) {
      plan.steps.forEach(({ op, outputs, inputs, attrs }, i) => {
        const [y] = outputs
        const x = inputs[op === 'product' ? 2 : 0]
        const sizes =
          y && x && op === 'product'
            ? ` ${y.rows} × ${y.cols} of ${x.cols}${attrs.trans ? ', trans' : ''}`
            : y && op === 'weight_grad'
              ? ` ${y.rows} × ${y.cols}`
              : ''
        sums[op + sizes] = (sums[op + sizes] ?? 0) + seconds![i]!
      })
    }
    return sums
  }
}

function rowsOf(): { rows: { input_ids: number[] }[]; batch: number } {
  const ids = JSON.parse(readFileSync(rowsPath, 'utf8')) as number[][]
  if (c.data === 'rows') return { rows: ids.slice(0, 8 * STEPS).map((input_ids) => ({ input_ids })), batch: 8 }
  const stream = ids.flat()
  return { rows: Array.from({ length: 4 * STEPS }, (_, i) => ({ input_ids: stream.slice(512 * i, 512 * (i + 1)) })), batch: 4 }
}

function openModel(
  device: CpuDevice,
  { dtype, loadIn4bit = false, r = 16, dropout = 0, bias = 'none', head = false }: CpuCase,
): LanguageModel {
  const opened = new OpenedModel(device, openCheckpoint(modelPath), { dtype, loadIn4bit, doubleQuant: loadIn4bit })
  const targetModules = head ? [...PROJECTIONS, 'lm_head'] : PROJECTIONS
  const config = loraConfig({ r, loraAlpha: r, loraDropout: dropout, bias, targetModules })
  return new LanguageModel(opened, { kind: 'lora', config }, 0)
}

/** memory that leaves this share of the arena which keeping everything takes */
function memoryFor(model: LanguageModel, device: CpuDevice, share: number): number {
  const { opened, trainables } = model
  const { layout } = trainables
  const spec = {
    model: opened.model,
    adapter: opened.adapter(model.spec, true),
    activation: opened.choice.dtype,
    layout,
    score: sft.score,
    gradients: true,
  }
  const all = tracePass({ ...spec, tokens: 2048 }).lower(() => 'all').arena
  return all * share + storeBytes(model.recorder, layout, { rule: 'adamw' }, opened.nested) + overheadBytes(device.describe().overhead)
}

const device = new ProfiledDevice({ threads: Number(threads), variant: variant || undefined })
const tokenizerFiles = openCheckpoint(modelPath).tokenizer!
const tokenizer = new Tokenizer(tokenizerFiles)
const language = openModel(device, c)
const { rows, batch } = rowsOf()
const trainer = new SFTTrainer({
  model: { language },
  processingClass: tokenizer,
  trainDataset: new Dataset(rows),
  memory: c.memoryGiB ? c.memoryGiB * 2 ** 30 : memoryFor(language, device, policy === 'all' ? 1 : (c.arena ?? 1)),
  args: {
    maxSteps: STEPS,
    perDeviceTrainBatchSize: batch,
    maxLength: null,
    learningRate: 2e-4,
    lrSchedulerType: 'constant',
    prefixSharing: c.prefixSharing ?? false,
    maxPassTokens: 2048,
    trainSamplingStrategy: 'sequential',
    loggingSteps: 1,
    saveStrategy: 'no',
    outputDir,
  },
})
const losses: number[] = []
const norms: number[] = []
let start: StartEvent | undefined
let end: EndEvent | undefined
const seconds: number[] = []
const tokens: number[] = []
const computed: number[] = []
let share = 0
/** by op, of the first step and of all */
let opsBefore: Record<string, number> = {}
let ops: Record<string, number> = {}
let last = performance.now()
/** while the optimizer's state is there */
let resident = device.resident()
for await (const event of trainer.stream()) {
  if (event.type === 'start') start = event
  if (event.type === 'end') end = event
  if (event.type === 'step') {
    losses.push(event.loss)
    const now = performance.now()
    if (event.step > 1) {
      seconds.push((now - last) / 1000)
      tokens.push(event.tokensPerSecond)
      computed.push(event.computedTokensPerSecond)
      share += event.share / (STEPS - 1)
    }
    last = now
    ops = device.byOp()
    if (event.step === 1) opsBefore = ops
    resident = device.resident()
  }
  if (event.type === 'log') norms.push(event.gradNorm)
}
/** of the steps counted: others use the machine too */
const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!
if (norms.some((n) => !(n > 0))) throw new Error('a gradient norm is zero: nothing was trained')
console.log(
  JSON.stringify({
    case: policy ? `${c.name}, keeping ${policy}` : c.name,
    device: device.describe().label,
    tokensPerSecond: median(tokens),
    computedTokensPerSecond: median(computed),
    share,
    stepSeconds: seconds,
    predictedSeconds: start!.predictedSeconds,
    losses,
    gradNorms: norms,
    peakRssMiB: process.resourceUsage().maxRSS / 1024,
    arenaMiB: start!.memory.arena / 2 ** 20,
    residentArenaMiB: resident.arena / 2 ** 20,
    storeMiB: resident.store / 2 ** 20,
    mappedMiB: resident.mapped / 2 ** 20,
    planHash: start!.planHash,
    flops: end!.metrics.totalFlos,
    /** ms of a counted step */
    opsMs: Object.fromEntries(
      Object.entries(ops)
        .map(([op, s]): [string, number] => [op, ((s - (opsBefore[op] ?? 0)) * 1e3) / (STEPS - 1)])
        .sort((a, b) => b[1] - a[1]),
    ),
    limits: device.limits(),
  }),
)
device.dispose()
