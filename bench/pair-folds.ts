/**
 * `npm run bench:pair-folds -- --model SmolLM2-135M-Instruct.gguf --data pairs.json [--folds 3] [--fold 0] [--max-length 256]`
 *
 * DPO judged on pairs it was not trained on: rows are shuffled and fall into folds, one is held out, LoRA is trained on the rest, and the line printed
 * has rewards/accuracies of the fold held out with its standard error, and that of the training's pairs, each as it was before it was trained
 * on (one epoch: no pair comes twice). All folds, one after the other, hold out every pair once.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { DPOTrainer, FastLanguageModel, loadDataset, openDevice } from '../src/index.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    folds: { type: 'string', default: '3' },
    fold: { type: 'string', default: '0' },
    seed: { type: 'string', default: '7' },
    'max-length': { type: 'string', default: '256' },
    'learning-rate': { type: 'string', default: '5e-4' },
    scheduler: { type: 'string', default: 'linear' },
    epochs: { type: 'string', default: '1' },
    steps: { type: 'string', default: '-1' },
    batch: { type: 'string', default: '4' },
    beta: { type: 'string', default: '0.1' },
    dtype: { type: 'string', default: 'bfloat16' },
    threads: { type: 'string', default: '2' },
  },
})
if (!values.model || !values.data) {
  console.error('bench:pair-folds needs --model and --data: rows of prompt (or a conversation), chosen and rejected')
  process.exit(2)
}
const number = (name: Exclude<keyof typeof values, 'model' | 'data' | 'dtype' | 'scheduler'>) => Number(values[name])
const [folds, fold, batch] = [number('folds'), number('fold'), number('batch')]
const work = mkdtempSync(join(tmpdir(), 'saqr-pair-folds-'))

const device = await openDevice('cpu', { threads: number('threads') })
const { model, tokenizer } = await FastLanguageModel.fromPretrained(values.model, {
  device,
  loadIn4bit: false,
  maxSeqLength: number('max-length'),
  dtype: values.dtype as 'float32' | 'bfloat16',
})
const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 32 })

const rows = (await loadDataset(values.data)).shuffle({ seed: number('seed') })
const part = (held: boolean) => rows.select(Array.from({ length: rows.length }, (_, i) => i).filter((i) => (i % folds === fold) === held))
const [train, test] = [part(false), part(true)]

const args = {
  maxLength: number('max-length'),
  beta: number('beta'),
  perDeviceTrainBatchSize: batch,
  perDeviceEvalBatchSize: batch,
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
const trainer = new DPOTrainer({ model: peft, processingClass: tokenizer, trainDataset: train, evalDataset: test, report: 'none', args })

const log: Record<string, number>[] = []
for await (const event of trainer.stream()) {
  if (event.type !== 'log') continue
  log.push({ loss: event.loss!, grad_norm: event.gradNorm!, ...event.metrics })
  console.error(JSON.stringify({ step: event.step, ...log.at(-1) }))
}
const { evalRuntime, evalSamplesPerSecond, evalStepsPerSecond, ...evaluated } = await trainer.evaluate()
const held = Math.round(evalRuntime * evalSamplesPerSecond)
const accuracy = evaluated['evalRewards/accuracies']!
const unseen = log.slice(1).map((entry) => entry['rewards/accuracies']!)
console.log(
  JSON.stringify({
    fold,
    heldOut: held,
    accuracy,
    standardError: Math.sqrt((accuracy * (1 - accuracy)) / held),
    unseenInTraining: unseen.length * batch,
    unseenAccuracy: unseen.reduce((a, b) => a + b, 0) / unseen.length,
    evaluated,
    args: { ...args, outputDir: undefined },
  }),
)

await model.dispose()
device.dispose()
rmSync(work, { recursive: true })
