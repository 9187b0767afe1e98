/**
 * Memory: what NVML says of a process that trains is what the table said before its first step; and a run goes to its end where a ballast
 * leaves it exactly that much of the card.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { firstVisible, watched } from '../../bench/cuda-watch.ts'
import type { Nvml } from '../../src/devices/cuda/nvml.ts'
import { DENSE } from '../../src/train/memory.ts'
import { largest, messageOf, note } from './findings.ts'
import type { MemoryRequest, MemoryRun } from './memory-run.ts'
import { writeMiddlingModel } from './middling-model.ts'

/** of the table's sum; the driver's context and modules differ between cards and drivers */
const ALLOWED = 0.02

const program = (name: string) => join(import.meta.dirname, `${name}${import.meta.filename.endsWith('.js') ? '.js' : '.ts'}`)

export async function checkMemory(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-memory-'))
  const nvml = firstVisible()
  try {
    await writeMiddlingModel(join(folder, 'model'))
    for (const loadIn4bit of [false, true]) {
      const what = loadIn4bit ? 'NF4 base' : 'bf16 base'
      const request = { model: join(folder, 'model'), output: join(folder, 'out'), loadIn4bit }
      const free = await measure(nvml, `${what}, memory free`, request)
      if (!free) continue
      const again = await measure(nvml, `${what}, memory free again`, request)
      if (again) sameCurve(`${what}, memory free again: other losses`, free, again)
      // half of what activations take when everything is kept, and no 4-bit weight in bf16 too
      const dense = free.table.lines.find(({ kind }) => kind === DENSE)?.bytes ?? 0
      if (loadIn4bit) note(`${what}, memory free: no weight is kept in bf16 too`, dense > 0 ? 0 : 1, 0)
      const memory = free.predicted - dense - Math.floor(free.table.arena / 2)
      const half = await measure(nvml, `${what}, half the arena`, { ...request, memory })
      if (!half) continue
      sameCurve(`${what}, half the arena: other losses than with all of it`, free, half)
      await withBallast(half.predicted, async () => {
        const beside = await measure(nvml, `${what}, beside a ballast that leaves ${(half.predicted / 2 ** 20).toFixed(0)} MiB`, {
          ...request,
          memory,
        })
        if (beside) sameCurve(`${what}, beside a ballast: other losses`, half, beside)
      })
    }
  } finally {
    nvml.close()
    rmSync(folder, { recursive: true })
  }
}

/** keep or recompute, alone or beside others: the same bits */
function sameCurve(what: string, a: MemoryRun, b: MemoryRun): void {
  const from = a.losses.findIndex((loss, i) => loss !== b.losses[i])
  const norms = a.gradNorms.findIndex((norm, i) => norm !== b.gradNorms[i])
  note(
    what,
    largest(a.losses, b.losses),
    0,
    `losses differ from step ${from + 1} on, gradient norms from step ${norms + 1} on (0: nowhere)`,
  )
}

interface Measured extends MemoryRun {
  predicted: number
}

async function measure(nvml: Nvml, what: string, request: MemoryRequest): Promise<Measured | null> {
  try {
    const loader = program('memory-run').endsWith('.ts') ? ['--import', join(import.meta.dirname, '../ts.mjs')] : []
    const args = [...loader, program('memory-run'), JSON.stringify(request)]
    const { lines, memory } = await watched(nvml, process.execPath, args, { env: process.env })
    const at = (mark: string) => lines.find(({ text }) => text === mark)!.at
    const run = JSON.parse(lines.findLast(({ text }) => text.startsWith('{'))!.text) as MemoryRun
    const predicted = run.table.total + run.table.overhead
    const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
    const [warm, peak] = [memory(at('MARK warm'), at('MARK done')), memory(at('MARK started'), at('MARK done'))]
    console.log(`${what}: ${mib(warm)} warm, ${mib(peak)} at most; the table says ${mib(predicted)}`)
    note(`${what}: warm by NVML beside the table, relative`, Math.abs(warm - predicted) / predicted, ALLOWED, `${mib(warm)}, the table says ${mib(predicted)}`) // biome-ignore format: short
    note(`${what}: at most by NVML above the table, relative`, (peak - predicted) / predicted, ALLOWED, `${mib(peak)}, the table says ${mib(predicted)}`) // biome-ignore format: short
    return { ...run, predicted }
  } catch (error) {
    note(what, Infinity, 0, messageOf(error))
    return null
  }
}

/** another process takes everything but `leave` bytes of the card */
async function withBallast(leave: number, work: () => Promise<void>): Promise<void> {
  const loader = program('ballast').endsWith('.ts') ? ['--import', join(import.meta.dirname, '../ts.mjs')] : []
  const child = spawn(process.execPath, [...loader, program('ballast'), String(leave)], { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    await new Promise<void>((ready, failed) => {
      child.stdout.on('data', () => ready())
      child.on('close', (code) => failed(new Error(`the ballast ended with ${code}`)))
    })
    await work()
  } finally {
    child.stdin.end()
    if (child.exitCode === null) await new Promise((done) => child.on('close', done))
  }
}
