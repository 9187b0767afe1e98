/** A run's beginning and end as trackers are told of them. */
import type { EndEvent, EvalEvent, LogEvent, StartEvent } from '../../src/track/events.ts'

export const startOf = (outputDir: string, more: Partial<StartEvent> = {}): StartEvent => ({
  type: 'start',
  run: '1-0123456789abcdef',
  runName: 'falcon',
  model: 'SmolLM2-135M',
  device: 'cpu, 2 threads, x86-64-v4-bf16',
  outputDir,
  training: 'LoRA r 16 on 7 modules, 4.88 M of 139 M parameters',
  memory: { lines: [], arena: 0, total: 0, host: 0, overhead: 0, overheads: [], budget: null, peak: 'the start' },
  planHash: '0123456789abcdef0123',
  steps: 20,
  doneSteps: 0,
  epochs: 1.5,
  rows: 1000,
  rowTokens: 142331,
  computedTokens: 142331,
  targets: 60000,
  sharing: null,
  passesPerStep: 1,
  predictedSeconds: 0.5,
  watched: [],
  history: [],
  config: {
    args: { learning_rate: 2e-4, report_to: ['tensorboard'], run_name: null, name: 'صقر' },
    model: { model_type: 'llama', hidden_size: 576 },
    adapter: { peft_type: 'LORA', r: 16 },
    parameters: { all: 139_400_000, trained: 4_880_000 },
  },
  ...more,
})

const speed = { tokensPerSecond: 1234.5, computedTokensPerSecond: 1000.25, share: 0.75 }

export const logOf = (step: number, loss: number): LogEvent => ({
  type: 'log',
  step,
  epoch: step / 16,
  loss,
  gradNorm: 2.5,
  learningRate: 1e-4,
  numTokens: 100 * step,
  metrics: { entropy: 1.5, meanTokenAccuracy: 0.625 },
  ...speed,
})

export const evalOf = (step: number, evalLoss: number): EvalEvent => ({
  type: 'eval',
  step,
  epoch: step / 16,
  evalLoss,
  evalNumTokens: 100 * step,
  metrics: { evalEntropy: 1.25, evalMeanTokenAccuracy: 0.5 },
  evalRuntime: 0.25,
  evalSamplesPerSecond: 40,
  evalStepsPerSecond: 4,
})

export const endOf = (step: number, more: Partial<EndEvent> = {}): EndEvent => ({
  type: 'end',
  step,
  finished: true,
  checkpoint: null,
  stopped: null,
  usage: { tokens: 90000, peakBytes: 3 * 2 ** 30 },
  whole: { tokens: 90000, loss: 1 },
  metrics: { trainRuntime: 8, trainSamplesPerSecond: 16, trainStepsPerSecond: 2, totalFlos: 2 ** 40, trainLoss: 1.5, epoch: step / 16 },
  ...more,
})
