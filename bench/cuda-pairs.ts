/**
 * `npm run bench:cuda-pairs -- --model DIR [--python python3] [--memory 7.5] [--steps 8] [--batch 2] [--prompt 256] [--answer 256] [--out FILE]`
 *
 * DPO's pairs a second on one NVIDIA card, QLoRA r 16, on pairs of random letters (a byte a token): prompt, chosen and rejected of a given length.
 * Each side is a process of its own, whose memory is watched by NVML: saqr with beginnings shared and without, and TRL's DPOTrainer as it is by default
 * (--python: with trl, peft, bitsandbytes). A pair counts all that it costs, its part in scoring the reference too, which TRL does beside every
 * step. First losses are ln 2 for all; the others are printed side by side. DIR: a checkpoint in NF4, by bitsandbytes.
 */
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { DPOTrainer, FastLanguageModel, loadDataset, openDevice } from '../src/index.ts'
import { firstVisible, watched } from './cuda-watch.ts'
import { writeIdsTokenizer } from './ids-tokenizer.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    python: { type: 'string' },
    memory: { type: 'string' },
    steps: { type: 'string', default: '8' },
    batch: { type: 'string', default: '2' },
    prompt: { type: 'string', default: '256' },
    answer: { type: 'string', default: '256' },
    out: { type: 'string' },
    /** in a process of its own: JSON of what to do */
    side: { type: 'string' },
  },
})

interface Side {
  folder: string
  rows: string
  output: string
  steps: number
  batch: number
  maxLength: number
  prefixSharing: boolean
  /** GiB */
  memory: number | null
}

interface Measured {
  stepSeconds: number
  referenceSecondsPerPair: number
  losses: number[]
}

const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!

async function ours({ folder, rows, output, steps, batch, maxLength, prefixSharing, memory }: Side): Promise<Measured> {
  const device = await openDevice('cuda')
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(folder, { device, loadIn4bit: true, maxSeqLength: maxLength })
  const trainer = new DPOTrainer({
    model: FastLanguageModel.getPeftModel(model, { r: 16, loraAlpha: 16 }),
    processingClass: tokenizer,
    trainDataset: await loadDataset(rows),
    memory: memory === null ? null : memory * 2 ** 30,
    report: 'none',
    args: {
      maxLength,
      prefixSharing,
      perDeviceTrainBatchSize: batch,
      maxSteps: steps,
      trainSamplingStrategy: 'sequential',
      learningRate: 1e-5,
      lrSchedulerType: 'constant',
      optim: 'adamw_8bit',
      loggingSteps: 1,
      saveStrategy: 'no',
      outputDir: output,
    },
  })
  const losses: number[] = []
  const ends: number[] = []
  let begun = 0
  let scored = 0
  for await (const event of trainer.stream()) {
    if (event.type === 'start') begun = performance.now()
    if (event.type === 'note' && /scored by the reference/.test(event.message)) scored = performance.now()
    if (event.type === 'log' && !(event.gradNorm > 0)) throw new Error('a gradient norm is zero: nothing was trained')
    if (event.type !== 'step') continue
    losses.push(event.loss)
    ends.push(performance.now())
  }
  const seconds = ends.map((end, i) => (end - (ends[i - 1] ?? scored)) / 1e3)
  await model.dispose()
  device.dispose()
  return { stepSeconds: median(seconds.slice(1)), referenceSecondsPerPair: (scored - begun) / 1e3 / (steps * batch), losses }
}

if (values.side) console.log(JSON.stringify(await ours(JSON.parse(values.side) as Side)))
else await compare()

async function compare(): Promise<void> {
  if (!values.model) {
    console.error('bench:cuda-pairs needs --model: a checkpoint in NF4')
    process.exit(2)
  }
  const [steps, batch, prompt, answer] = [values.steps, values.batch, values.prompt, values.answer].map(Number) as [number, number, number, number] // biome-ignore format: short
  const work = mkdtempSync(join(tmpdir(), 'saqr-pairs-'))
  const [given, folder, rows] = [resolve(values.model), join(work, 'model'), join(work, 'rows.json')]
  mkdirSync(folder)
  for (const file of readdirSync(given)) if (!/^tokenizer|special_tokens/.test(file)) symlinkSync(join(given, file), join(folder, file))
  writeIdsTokenizer(folder, (JSON.parse(readFileSync(join(given, 'config.json'), 'utf8')) as { vocab_size: number }).vocab_size)
  let state = 1
  const letters = (count: number) =>
    Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return String.fromCharCode(97 + ((state >>> 16) % 26))
    }).join('')
  const pairs = Array.from({ length: steps * batch }, () => ({
    prompt: letters(prompt),
    chosen: letters(answer),
    rejected: letters(answer),
  }))
  writeFileSync(rows, JSON.stringify(pairs))

  const maxLength = prompt + answer + 8
  const nvml = firstVisible()
  const measure = async (who: string, command: string, args: string[]) => {
    const { lines, memory } = await watched(nvml, command, args, { env: process.env })
    const { stepSeconds, referenceSecondsPerPair, losses } = JSON.parse(
      lines.findLast(({ text }) => text.startsWith('{'))!.text,
    ) as Measured
    const pairsPerSecond = 1 / (stepSeconds / batch + referenceSecondsPerPair)
    const peakMiB = Math.round(memory(0, Date.now()) / 2 ** 20)
    const line = JSON.stringify({ who, pairsPerSecond, peakMiB, stepSeconds, referenceSecondsPerPair, losses, batch, prompt, answer, memoryGiven: values.memory }) // biome-ignore format: a line
    console.log(line)
    if (values.out) appendFileSync(values.out, `${line}\n`)
  }
  const side = { folder, rows, steps, batch, maxLength, memory: values.memory ? Number(values.memory) : null }
  for (const prefixSharing of [true, false]) {
    const request: Side = { ...side, prefixSharing, output: join(work, String(prefixSharing)) }
    await measure(prefixSharing ? 'saqr' : 'saqr, nothing shared', process.execPath, [...process.execArgv, import.meta.filename, '--side', JSON.stringify(request)]) // biome-ignore format: a line
  }
  if (values.python) {
    const script = join(import.meta.dirname, 'trl_pairs.py')
    await measure('TRL', values.python, [script, folder, rows, 'cuda', String(steps), String(batch), String(maxLength)])
  }
  rmSync(work, { recursive: true })
}
