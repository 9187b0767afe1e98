/** Every op's cases under NVIDIA's compute-sanitizer: no access out of bounds, no race in shared memory, no barrier that some threads miss. */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { note } from './findings.ts'

const TOOLS = ['memcheck', 'racecheck', 'synccheck']
/** of compute-sanitizer where it found something */
const FOUND = 99

/** The cases are dealt to as many processes as the host has processors: what a tool adds to a kernel is made and read by one thread of the host. */
export async function checkSanitizer(op: string | undefined, most: number): Promise<void> {
  const processes = availableParallelism()
  const runs = TOOLS.flatMap((tool) => Array.from({ length: processes }, (_, i) => ({ tool, share: `${i}/${processes}` })))
  const next = runs.values()
  const work = async () => {
    for (const { tool, share } of next) await under(tool, share, op, most)
  }
  await Promise.all(Array.from({ length: processes }, work))
}

async function under(tool: string, share: string, op: string | undefined, most: number): Promise<void> {
  const packed = import.meta.filename.endsWith('.js')
  const test = join(import.meta.dirname, `../cuda-test.${packed ? 'js' : 'ts'}`)
  const node = [...(packed ? [] : ['--import', join(import.meta.dirname, '../ts.mjs')]), test, 'ops', '--share', share, ...(op ? ['--op', op] : []), '--most', String(most)] // biome-ignore format: short
  const child = spawn('compute-sanitizer', ['--tool', tool, '--error-exitcode', String(FOUND), process.execPath, ...node], { stdio: ['ignore', 'pipe', 'inherit'] }) // biome-ignore format: short
  const began = performance.now()
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  const status = await new Promise<number | NodeJS.Signals | null>((done, failed) => {
    child.on('error', (error) =>
      failed(new Error(`compute-sanitizer can't be run (it comes with NVIDIA's CUDA toolkit): ${error.message}`)),
    )
    child.on('close', (code, signal) => done(code ?? signal))
  })
  const said = [
    ...new Set(
      stdout
        .split('\n')
        .filter((line) => /^=========|^FAIL/.test(line))
        .map(withoutAddresses),
    ),
  ]
  console.log(`${tool}, share ${share}: exit code ${status}, ${((performance.now() - began) / 1e3).toFixed(0)} s`)
  note(
    `sanitizer, ${tool}, ${share}`,
    status === 0 ? 0 : 1,
    0,
    `exit code ${status}: ${said.slice(0, 12).join('\n')} … ${said.at(-1) ?? ''}`,
  )
}

/** a fault is told of each instruction and thread: its kernels are what is wanted */
const withoutAddresses = (line: string) => line.replace(/\+0x[0-9a-f]+|0x[0-9a-f]+| \[\d+ hazards\]/g, '')
