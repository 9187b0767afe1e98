/**
 * `npm run bench:pair-rounding -- --model SmolLM2-135M-Instruct.gguf --data pairs.json [--pairs 8] [--max-length 1024] [--threads 2]`
 *
 * What bf16 makes of DPO's margins by rounding alone. The base, and an adapter over it after one step (in f32, two pairs, rate 1e-5), score the same pairs in
 * f32 and in bf16, with shared beginnings and without; two pairs lie in a step, as bench:pairs has them. Of each cut in bf16: the errors of an answer's log-probability beside f32's (their mean,
 * their root mean square), and those of a pair's loss. What rounds has no direction: means are 0 within their errors, and both cuts err independently.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { DPOTrainer, FastLanguageModel, loadDataset, openDevice } from '../src/index.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    pairs: { type: 'string', default: '8' },
    'max-length': { type: 'string', default: '1024' },
    threads: { type: 'string', default: '2' },
  },
})
if (!values.model || !values.data) {
  console.error('bench:pair-rounding needs --model and --data: rows of prompt (or a conversation), chosen and rejected')
  process.exit(2)
}
const { model: name, data } = values
const [pairs, maxLength, threads] = [values.pairs, values['max-length'], values.threads].map(Number) as [number, number, number]
const work = mkdtempSync(join(tmpdir(), 'saqr-pair-rounding-'))
const rows = await loadDataset(data)
const BETA = 0.1

/** @returns log-probabilities of chosen and rejected, of each pair, as the model that `path` names has them before it is trained */
async function scored(path: string, dtype: 'float32' | 'bfloat16', prefixSharing: boolean, save?: string): Promise<number[][]> {
  const device = await openDevice('cpu', { threads })
  const opened = await FastLanguageModel.fromPretrained(path, { device, loadIn4bit: false, maxSeqLength: maxLength, dtype })
  const model = path === name ? FastLanguageModel.getPeftModel(opened.model, { r: 16, loraAlpha: 16 }) : opened.model
  const outputDir = mkdtempSync(join(work, 'run-'))
  const steps = save ? 1 : pairs / 2
  const trainer = new DPOTrainer({
    model,
    processingClass: opened.tokenizer,
    trainDataset: rows,
    report: 'none',
    args: {
      ...{ maxLength, prefixSharing, maxSteps: steps, outputDir, beta: BETA },
      perDeviceTrainBatchSize: 2,
      trainSamplingStrategy: 'sequential',
      learningRate: 1e-5,
      lrSchedulerType: 'constant',
      saveStrategy: 'no',
    },
  })
  for await (const event of trainer.stream()) {
    if (!save && event.type === 'note' && /scored by the reference/.test(event.message)) break
  }
  if (save) await model.savePretrained(save)
  await model.dispose()
  device.dispose()
  const lines = readFileSync(join(outputDir, 'reference_scores.jsonl'), 'utf8').trimEnd().split('\n')
  const found: number[][] = []
  for (const line of lines) {
    const { rows, numbers } = JSON.parse(line) as { rows: number[]; numbers: number[] }
    const width = numbers.length / rows.length
    for (const [at, row] of rows.entries()) found[row] = numbers.slice(width * at, width * at + 2)
  }
  return found.filter((row) => row !== undefined)
}

const root = (list: readonly number[]) => Math.sqrt(list.reduce((sum, x) => sum + x * x, 0) / list.length)
const mean = (list: readonly number[]) => list.reduce((sum, x) => sum + x, 0) / list.length
const marginsOf = (policy: number[][], base: number[][]) => policy.map(([c, r], i) => BETA * (c! - base[i]![0]! - (r! - base[i]![1]!)))
const lossOf = (margin: number) => Math.log1p(Math.exp(-margin))

const adapter = join(work, 'adapter')
await scored(name, 'float32', true, adapter)
const both = async (dtype: 'float32' | 'bfloat16', sharing: boolean) => {
  const base = await scored(name, dtype, sharing)
  const policy = await scored(adapter, dtype, sharing)
  return { base, policy, margins: marginsOf(policy, base) }
}
const exact = { shared: await both('float32', true), apart: await both('float32', false) }
console.log(JSON.stringify({ dtype: 'float32', pairs: exact.shared.margins.length, margins: exact.shared.margins, cutsApart: root(exact.shared.margins.map((m, i) => m - exact.apart.margins[i]!)) })) // biome-ignore format: one line
const errors: Record<string, number[]> = {}
for (const sharing of [true, false]) {
  const half = await both('bfloat16', sharing)
  const off = (a: number[][], b: number[][]) => a.flatMap((row, i) => row.map((x, k) => x - b[i]![k]!))
  const [base, policy] = [off(half.base, exact.apart.base), off(half.policy, exact.apart.policy)]
  const margins = half.margins.map((m, i) => m - exact.apart.margins[i]!)
  errors[String(sharing)] = margins
  const own = policy.map((x, i) => x - base[i]!)
  const steps = Array.from({ length: half.margins.length / 2 }, (_, i) => mean(half.margins.slice(2 * i, 2 * i + 2).map(lossOf)))
  console.log(JSON.stringify({ dtype: 'bfloat16', sharing, answerError: { mean: mean(base), rms: root(base) }, policyLessBase: { mean: mean(own), rms: root(own) }, margins: half.margins, marginError: { mean: mean(margins), rms: root(margins) }, lossesOfSteps: steps })) // biome-ignore format: one line
}
const [a, b] = [errors.true!, errors.false!]
console.log(JSON.stringify({ correlationOfCuts: mean(a.map((x, i) => x * b[i]!)) / (root(a) * root(b)) }))
rmSync(work, { recursive: true })
