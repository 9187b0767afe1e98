/** Trains in a process of its own whose memory is watched.  node memory-run.js '{ "model", "output", "loadIn4bit", "memory" }' */
import { FastLanguageModel, openDevice, SFTTrainer, type TrainEvent } from '../../src/index.ts'

export interface MemoryRequest {
  model: string
  output: string
  loadIn4bit: boolean
  /** bytes; absent: what is free */
  memory?: number
}

export interface MemoryRun {
  table: Extract<TrainEvent, { type: 'start' }>['memory']
  losses: number[]
  gradNorms: number[]
}

const STEPS = 12
const WARM = 4
const ROWS = 8
const TOKENS = 2048

const { model: folder, output, loadIn4bit, memory = null } = JSON.parse(process.argv[2]!) as MemoryRequest
const device = await openDevice('cuda')
const { model, tokenizer } = await FastLanguageModel.fromPretrained(folder, { device, loadIn4bit })
const peft = FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 })
const rows = Array.from({ length: ROWS * STEPS }, (_, i) => ({
  input_ids: Array.from({ length: TOKENS }, (_, k) => (k * k + 7 * i + 1) % 250),
}))
const trainer = new SFTTrainer({
  model: peft,
  processingClass: tokenizer,
  trainDataset: rows,
  memory,
  report: 'none',
  args: {
    maxSteps: STEPS,
    perDeviceTrainBatchSize: ROWS,
    maxLength: null,
    // the same cut whatever the memory, so that bits can be compared
    maxPassTokens: ROWS * TOKENS,
    prefixSharing: false,
    optim: 'adamw_8bit',
    loggingSteps: 1,
    saveStrategy: 'no',
    outputDir: output,
  },
})
let table: MemoryRun['table'] | undefined
const losses: number[] = []
const gradNorms: number[] = []
for await (const event of trainer.stream()) {
  if (event.type === 'start') {
    table = event.memory
    console.log('MARK started')
  } else if (event.type === 'step') {
    losses.push(event.loss)
    if (event.step === WARM) console.log('MARK warm')
  } else if (event.type === 'log') gradNorms.push(event.gradNorm)
}
console.log('MARK done')
console.log(JSON.stringify({ table, losses, gradNorms }))
await peft.dispose()
await model.dispose()
device.dispose()
