/**
 * `npm run bench:cuda -- --models DIR [--baseline baseline_gpu.py --python python3 --engines unsloth,hf] [--rounds N] [case …]`
 *
 * Training on one NVIDIA card as programs do it, each case in a process of its own, and the baselines' steps beside it in the same run,
 * turn by turn: tokens a second of the rows' own tokens (the median warm step's), the process's memory by NVML, the share of the limit that
 * is measured in the case's own process, a profile by op, clocks and heat. First losses are checked against the baseline's, gradient norms
 * not to be zero. DIR holds Llama-3.1-8B's and Llama-3.2-1B's shapes with any weights (l8b, l1b); what isn't there is made with the
 * baseline's `setup`. Without --baseline only saqr runs. Raw output goes to --out, of which tools/performance-table.ts makes a table.
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { BASELINE, type BaselineResult, type CaseResult, check, told } from './cuda-baseline.ts'
import { baselineOf, CASES, type CudaCase } from './cuda-cases.ts'
import { Models } from './cuda-models.ts'
import { firstVisible, watched } from './cuda-watch.ts'

const { values, positionals } = parseArgs({
  options: {
    models: { type: 'string', default: tmpdir() },
    baseline: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    engines: { type: 'string', default: 'unsloth' },
    rounds: { type: 'string', default: '1' },
    /** GiB and tokens, instead of what the cases say */
    memory: { type: 'string' },
    'max-pass-tokens': { type: 'string' },
    /** folder for Node's profiles of the cases whose first step counts */
    'cpu-prof': { type: 'string' },
    out: { type: 'string', default: 'bench/results/cuda.jsonl' },
  },
  allowPositionals: true,
})
const unknown = positionals.find((name) => !CASES.some((c) => c.name === name))
if (unknown) {
  console.error(`bench:cuda has no case ${unknown}; it has ${CASES.map((c) => c.name).join(', ')}`)
  process.exit(2)
}

const nvml = firstVisible()
const work = mkdtempSync(join(tmpdir(), 'saqr-bench-'))
const baseline = values.baseline ? { program: resolve(values.baseline), python: values.python } : null
const models = new Models(resolve(values.models), work, baseline)
const chosen = CASES.filter((c) => positionals.length === 0 || positionals.includes(c.name))
const caseProgram = await compiled()
mkdirSync(dirname(values.out), { recursive: true })
const raw = (line: object) => appendFileSync(values.out, `${JSON.stringify(line)}\n`)

/** the case's program as JavaScript: packed so, or made of the checkout's compiled library */
async function compiled(): Promise<string> {
  if (import.meta.filename.endsWith('.js')) return join(import.meta.dirname, 'cuda-case.js')
  const { asShipped } = await import('./as-shipped.ts')
  return asShipped(['cuda-case.ts', 'cuda-cases.ts', 'cuda-plan.ts'], join(work, 'bench'))
}

async function ours(c: CudaCase): Promise<CaseResult> {
  const request = {
    name: c.name,
    model: models.folder(c),
    rows: models.rows(c),
    output: join(work, 'out'),
    ...(values.memory ? { memory: Number(values.memory) * 2 ** 30 } : {}),
    ...(values['max-pass-tokens'] ? { maxPassTokens: Number(values['max-pass-tokens']) } : {}),
  }
  const cache = { XDG_CACHE_HOME: mkdtempSync(join(work, 'cache-')), CUDA_CACHE_PATH: join(work, 'driver-cache') }
  const env = c.first ? { ...process.env, ...cache } : process.env
  if (c.first === 'cached') await watched(nvml, process.execPath, [caseProgram, JSON.stringify(request)], { env })
  const profiled = c.first && values['cpu-prof'] ? ['--cpu-prof', '--cpu-prof-dir', values['cpu-prof'], '--cpu-prof-name', `${c.name}.cpuprofile`] : [] // biome-ignore format: short
  const { lines, memory, cards } = await watched(nvml, process.execPath, [...profiled, caseProgram, JSON.stringify(request)], { env })
  const result = JSON.parse(lines.findLast(({ text }) => text.startsWith('{'))!.text) as CaseResult
  const at = (name: string) => lines.find(({ text }) => text.startsWith(`MARK ${name} `))?.at ?? 0
  Object.assign(result, { peakBytes: memory(at('loaded'), at('done')), warmBytes: memory(at('warm'), at('done')), cards: cards(at('warm'), at('done')) }) // biome-ignore format: short
  rmSync(join(work, 'out'), { recursive: true, force: true })
  return result
}

/** one process of a baseline: all its cases, one after the other */
async function theirs(mode: string, size: string, cases: readonly string[]): Promise<Map<string, BaselineResult>> {
  const { program, python } = baseline!
  const { lines, memory, cards } = await watched(nvml, python, [BASELINE, 'run', program, mode, size, ...cases], { env: process.env })
  return told(lines, memory, cards)
}

writeFileSync(values.out, '')
raw({
  at: new Date().toISOString(),
  card: nvml.name,
  driver: nvml.driver,
  totalBytes: nvml.total,
  state: nvml.state(),
  node: process.version,
  command: `bench:cuda ${process.argv.slice(2).join(' ')}`,
})
models.prepare(chosen)
const engines = baseline ? values.engines.split(',').filter((engine) => engine !== '') : []
/** cases that one process of each baseline runs: they are measured next to each other */
const groups = new Map<string, CudaCase[]>()
for (const c of chosen) {
  const key = `${baselineOf(c, '')?.mode ?? c.name} ${c.size}`
  groups.set(key, [...(groups.get(key) ?? []), c])
}
let failed = 0
console.log(
  'case                        tok/s  computed  share  at limit  peak MiB  planned   s/step  planned  first s   baseline tok/s    MiB  first s   times',
)
for (let round = 0; round < Number(values.rounds); round++) {
  for (const group of groups.values()) {
    const results: [CudaCase, CaseResult][] = []
    for (const c of group) {
      const result = await attempt(c.name, () => ours(c))
      if (!result) continue
      results.push([c, result])
      raw({ side: 'saqr', round, ...result })
    }
    const beside = new Map<string, (c: CudaCase) => BaselineResult | undefined>()
    for (const engine of engines) beside.set(engine, await besides(engine, group, round))
    for (const [c, result] of results) {
      // transformers say what is right, where they run; without them every other has to agree
      const definition = beside.get('hf')?.(c)
      const others = [...beside].flatMap(([engine, of]) => (of(c) ? [{ engine, other: of(c)! }] : []))
      for (const { engine, other } of others) {
        const told = (what: string) => `${engine}: ${what}`
        if (other === definition || !definition?.steps) await attempt(c.name, async () => check(c, result, other, models.rows(c)))
        else note(c.name, told, () => check(c, result, other, models.rows(c)))
      }
      show(c, result, others[0]?.other)
    }
  }
}
rmSync(work, { recursive: true })
nvml.close()
if (failed > 0) {
  console.log(`${failed} failed`)
  process.exitCode = 1
}

/** What a baseline does with the rows of a group, by case. */
async function besides(engine: string, group: readonly CudaCase[], round: number): Promise<(c: CudaCase) => BaselineResult | undefined> {
  const caseOf = (c: CudaCase) => baselineOf(c, engine)?.case
  const wanted = new Set(group.flatMap((c) => caseOf(c) ?? []))
  const mode = baselineOf(group[0]!, engine)?.mode
  if (!mode) return () => undefined
  const found = await attempt(mode, () => theirs(mode, group[0]!.size, [...wanted]))
  for (const [name, result] of found ?? []) {
    const cases = group.filter((c) => caseOf(c) === name).map((c) => c.name)
    raw({ side: engine, round, mode, size: group[0]!.size, name, cases, ...result })
  }
  return (c) => found?.get(caseOf(c) ?? '')
}

/** One case that fails leaves the others to be measured; the run fails in the end. */
async function attempt<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run()
  } catch (error) {
    failed++
    const message = error instanceof Error ? error.message : String(error)
    console.log(`FAIL ${what}: ${message}`)
    raw({ side: 'failed', what, message })
    return undefined
  }
}

/** What a baseline does otherwise than transformers, and we with them: not our failure. */
function note(name: string, told: (what: string) => string, compare: () => void): void {
  try {
    compare()
  } catch (error) {
    const message = told(error instanceof Error ? error.message : String(error))
    console.log(`NOTE ${name}: ${message}; transformers' is ours`)
    raw({ side: 'note', what: name, message })
  }
}

function show(c: CudaCase, r: CaseResult, other: BaselineResult | undefined): void {
  const fixed = (n: number | null | undefined, digits = 0) => (n === null || n === undefined ? '' : n.toFixed(digits))
  const mib = (bytes: number | undefined) => (bytes === undefined ? '' : fixed(bytes / 2 ** 20))
  const percent = (share: number | null | undefined) => (share === null || share === undefined ? '' : `${fixed(100 * share)} %`)
  const cells: [string, number][] = [
    [fixed(r.tokensPerSecond), 8],
    [fixed(r.computedTokensPerSecond), 9],
    [percent(r.share), 6],
    [percent(r.atTheLimit), 9],
    [mib(r.peakBytes), 9],
    [mib(r.predictedBytes), 8],
    [fixed(r.stepSeconds, 3), 8],
    [fixed(r.predictedSeconds, 3), 8],
    [fixed(r.firstStepSeconds, 2), 8],
    [fixed(other?.tokensPerSecond), 16],
    [mib(other?.peakBytes), 6],
    [fixed(other?.firstStepSeconds, 1), 8],
    [other?.tokensPerSecond ? fixed(r.tokensPerSecond / other.tokensPerSecond, 2) : '', 7],
  ]
  console.log([c.name.padEnd(25), ...cells.map(([text, width]) => text.padStart(width))].join(' '))
  const newSizes = r.newSizeSeconds?.map((s) => `${fixed(1e3 * s)} ms`).join(', ')
  if (newSizes) console.log(`  a size for the first time takes ${newSizes} more`)
  const ops = Object.entries(r.opsMs ?? {})
    .filter(([, ms]) => ms >= 0.05)
    // a copy to or from the host runs beside the rest: it has no limit of its own
    .map(([op, ms]) => [op, fixed(ms, 1), ...(r.opsLimitMs?.[op] ? [`(${percent(r.opsLimitMs[op] / ms)})`] : [])].join(' '))
  if (ops.length > 0) console.log(`  ms, of them at the limit: ${ops.join(', ')}`)
}
