/**
 * `npm run bench:pairs -- --model SmolLM2-135M-Instruct.gguf --data pairs.json [--python python3] [--trl-dtype float32] [--threads 2] [--steps 8] [--batch 4] [--max-length 1024] [--rounds 5]`
 *
 * DPO's pairs a second on the CPU, LoRA r 16 in bf16: with shared beginnings, without, and TRL's DPOTrainer on the same pairs in the same order
 * (--python: with trl, peft and torch; --trl-dtype: float32 where the processor has no bf16, whose products torch then makes seven times slower). A pair counts all that it costs: its part in scoring the reference, which TRL does beside every step, and
 * in the median step after the first. First losses are held against each other. The three run in turns, round after round, and the ratios are those within a round: what others do on the
 * machine weighs on all three then. The last line has the medians of the ratios, of seconds and of the processors' seconds (`cpu`), which tell more where others compute too.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { DPOTrainer, FastLanguageModel, loadDataset, openDevice } from '../src/index.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    python: { type: 'string' },
    'trl-dtype': { type: 'string', default: 'bfloat16' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '8' },
    batch: { type: 'string', default: '4' },
    'max-length': { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
  },
})
if (!values.model || !values.data) {
  console.error('bench:pairs needs --model and --data: rows of prompt (or a conversation), chosen and rejected')
  process.exit(2)
}
const { model: name, data, python } = values
const [threads, steps, batch, maxLength] = [values.threads, values.steps, values.batch, values['max-length']].map(Number) as [
  number,
  number,
  number,
  number,
]
const work = mkdtempSync(join(tmpdir(), 'saqr-pairs-'))

interface Measured {
  who: string
  /** of the median step, and of scoring the reference, a pair */
  stepSeconds: number
  referenceSecondsPerPair: number
  /** the same of the processors' seconds, a pair */
  cpuSecondsPerPair: number
  losses: number[]
  /** of all rows, and those that are left to compute: more than their ratio sharing can't give */
  tokens?: { rows: number; computed: number }
}

const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!

async function ours(prefixSharing: boolean): Promise<Measured> {
  const device = await openDevice('cpu', { threads })
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(name!, { device, loadIn4bit: false, maxSeqLength: maxLength })
  const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 })
  const trainer = new DPOTrainer({
    model: peft,
    processingClass: tokenizer,
    trainDataset: await loadDataset(data!),
    args: {
      maxLength,
      prefixSharing,
      perDeviceTrainBatchSize: batch,
      maxSteps: steps,
      trainSamplingStrategy: 'sequential',
      learningRate: 1e-5,
      lrSchedulerType: 'constant',
      loggingSteps: 1,
      saveStrategy: 'no',
      // a folder of its own: what the reference said in another round would be found in it
      outputDir: mkdtempSync(join(work, 'run-')),
    },
  })
  const losses: number[] = []
  const ends: number[] = []
  /** processors' seconds, at the beginning, when all is scored, and as each step ends */
  const cpu = () => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6
  const cpuEnds: number[] = []
  let cpuBegun = 0
  let cpuScored = 0
  let begun = 0
  let tokens = { rows: 0, computed: 0 }
  let scored = 0
  for await (const event of trainer.stream()) {
    if (event.type === 'start') {
      begun = performance.now()
      cpuBegun = cpu()
      tokens = { rows: event.rowTokens, computed: event.computedTokens }
    }
    if (event.type === 'note' && /scored by the reference/.test(event.message)) {
      scored = performance.now()
      cpuScored = cpu()
    }
    if (event.type !== 'step') continue
    losses.push(event.loss)
    ends.push(performance.now())
    cpuEnds.push(cpu())
  }
  const seconds = ends.map((end, i) => (end - (ends[i - 1] ?? scored)) / 1e3)
  const cpuSeconds = cpuEnds.map((end, i) => end - (cpuEnds[i - 1] ?? cpuScored))
  await model.dispose()
  device.dispose()
  return {
    who: prefixSharing ? 'saqr' : 'saqr, nothing shared',
    stepSeconds: median(seconds.slice(1)),
    referenceSecondsPerPair: (scored - begun) / 1e3 / (steps * batch),
    cpuSecondsPerPair: median(cpuSeconds.slice(1)) / batch + (cpuScored - cpuBegun) / (steps * batch),
    losses,
    tokens,
  }
}

function trl(): Measured {
  const script = join(import.meta.dirname, 'trl_pairs.py')
  const args = [script, name!, data!, ...[threads, steps, batch, maxLength].map(String), values['trl-dtype']]
  const { stdout, stderr, status } = spawnSync(python!, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status !== 0) throw new Error(stderr.slice(-2000))
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Measured
}

const ratios: Record<string, number[]> = {}
const cpuRatios: Record<string, number[]> = {}
for (let round = 1; round <= Number(values.rounds); round++) {
  const results = [await ours(true), await ours(false), ...(python ? [trl()] : [])].map((one) => ({
    ...one,
    pairsPerSecond: 1 / (one.stepSeconds / batch + one.referenceSecondsPerPair),
  }))
  const [shared, ...others] = results
  for (const { who, pairsPerSecond, cpuSecondsPerPair } of others) {
    ;(ratios[who] ??= []).push(shared!.pairsPerSecond / pairsPerSecond)
    ;(cpuRatios[who] ??= []).push(cpuSecondsPerPair / shared!.cpuSecondsPerPair)
  }
  for (const one of results) console.log(JSON.stringify({ round, ...one }))
}
rmSync(work, { recursive: true })
const of = Object.entries(ratios).map(([who, rounds]) => [who, { median: median(rounds), rounds, cpu: median(cpuRatios[who]!) }])
console.log(JSON.stringify({ who: 'saqr, times the pairs a second of', ...Object.fromEntries(of) }))
