/**
 * `npm run bench:pair-folds -- --model SmolLM2-135M-Instruct.gguf --data pairs.json [--folds 5] [--fold 0] [--seeds 7,8,9] [--max-length 256] [--dtype float32]`
 *
 * DPO judged on pairs it was not trained on: rows are shuffled and fall into folds, one is held out, LoRA is trained on the rest, and the line printed
 * has rewards/accuracies of the fold held out with its standard error, and that of the training's pairs, each as it was before it was trained
 * on (first epoch). All folds, one after the other (without --fold), hold out every pair once a seed; the last line has their accuracy over all pairs.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Dataset, DPOTrainer, FastLanguageModel, loadDataset, openDevice } from '../src/index.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    folds: { type: 'string', default: '5' },
    fold: { type: 'string' },
    seeds: { type: 'string', default: '7' },
    'max-length': { type: 'string', default: '256' },
    'learning-rate': { type: 'string', default: '5e-5' },
    scheduler: { type: 'string', default: 'linear' },
    epochs: { type: 'string', default: '1' },
    steps: { type: 'string', default: '-1' },
    batch: { type: 'string', default: '8' },
    beta: { type: 'string', default: '0.1' },
    dtype: { type: 'string', default: 'float32' },
    threads: { type: 'string', default: '2' },
  },
})
if (!values.model || !values.data) {
  console.error('bench:pair-folds needs --model and --data: rows of prompt (or a conversation), chosen and rejected')
  process.exit(2)
}
const name = values.model
const number = (option: 'folds' | 'max-length' | 'learning-rate' | 'epochs' | 'steps' | 'batch' | 'beta' | 'threads') =>
  Number(values[option])
const [folds, batch] = [number('folds'), number('batch')]
const rows = await loadDataset(values.data)
const work = mkdtempSync(join(tmpdir(), 'saqr-pair-folds-'))
const device = await openDevice('cpu', { threads: number('threads') })

const args = {
  maxLength: number('max-length'),
  beta: number('beta'),
  perDeviceTrainBatchSize: batch,
  // a mean over batches, as TRL has it, is then one over pairs
  perDeviceEvalBatchSize: 1,
  numTrainEpochs: number('epochs'),
  maxSteps: number('steps'),
  learningRate: number('learning-rate'),
  lrSchedulerType: values.scheduler as 'linear',
  warmupSteps: values.scheduler === 'constant' ? 0 : 0.1,
  trainSamplingStrategy: 'sequential',
  loggingSteps: 1,
  saveStrategy: 'no',
  outputDir: join(work, 'run'),
} as const

async function judged(train: Dataset, test: Dataset) {
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(name, {
    device,
    loadIn4bit: false,
    maxSeqLength: args.maxLength,
    dtype: values.dtype as 'float32' | 'bfloat16',
  })
  const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 32 })
  const trainer = new DPOTrainer({ model: peft, processingClass: tokenizer, trainDataset: train, evalDataset: test, report: 'none', args })
  const log: Record<string, number>[] = []
  for await (const event of trainer.stream()) {
    if (event.type !== 'log') continue
    log.push({ loss: event.loss!, grad_norm: event.gradNorm!, ...event.metrics })
    console.error(JSON.stringify({ step: event.step, ...log.at(-1) }))
  }
  const { evalRuntime, evalSamplesPerSecond, evalStepsPerSecond, ...evaluated } = await trainer.evaluate()
  await model.dispose()
  return { log, evaluated, heldOut: Math.round(evalRuntime * evalSamplesPerSecond) }
}

const errorOf = (p: number, n: number) => Math.sqrt((p * (1 - p)) / n)
let [right, all] = [0, 0]
for (const seed of values.seeds.split(',').map(Number)) {
  const shuffled = rows.shuffle({ seed })
  for (const fold of values.fold === undefined ? Array(folds).keys() : [Number(values.fold)]) {
    const part = (held: boolean) =>
      shuffled.select(Array.from({ length: rows.length }, (_, i) => i).filter((i) => (i % folds === fold) === held))
    const { log, evaluated, heldOut } = await judged(part(false), part(true))
    const accuracy = evaluated['evalRewards/accuracies']!
    right += accuracy * heldOut
    all += heldOut
    const unseen = log.slice(1, Math.ceil(log.length / args.numTrainEpochs)).map((entry) => entry['rewards/accuracies']!)
    const unseenAccuracy = unseen.reduce((a, b) => a + b, 0) / unseen.length
    console.log(JSON.stringify({ seed, fold, heldOut, accuracy, standardError: errorOf(accuracy, heldOut), unseenAccuracy, evaluated }))
  }
}
const seeds = values.seeds.split(',').length
// the same pairs under every seed: seeds average over splits, and make no pairs more
console.log(
  JSON.stringify({
    heldOut: all,
    accuracy: right / all,
    standardError: errorOf(right / all, all / seeds),
    args: { ...args, outputDir: undefined },
    dtype: values.dtype,
  }),
)

device.dispose()
rmSync(work, { recursive: true })
