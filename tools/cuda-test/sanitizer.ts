/** Every op's cases under NVIDIA's compute-sanitizer: no access out of bounds, no race in shared memory, no barrier that some threads miss. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { note } from './findings.ts'

const TOOLS = ['memcheck', 'racecheck', 'synccheck']
/** of compute-sanitizer where it found something */
const FOUND = 99

export function checkSanitizer(op: string | undefined): void {
  const packed = import.meta.filename.endsWith('.js')
  const test = join(import.meta.dirname, `../cuda-test.${packed ? 'js' : 'ts'}`)
  const node = [...(packed ? [] : ['--import', join(import.meta.dirname, '../ts.mjs')]), test, 'ops', ...(op ? ['--op', op] : [])]
  for (const tool of TOOLS) {
    const { status, stdout, error } = spawnSync('compute-sanitizer', ['--tool', tool, '--error-exitcode', String(FOUND), process.execPath, ...node], { encoding: 'utf8', maxBuffer: 2 ** 28 }) // biome-ignore format: short
    if (error) throw new Error(`compute-sanitizer can't be run (it comes with NVIDIA's CUDA toolkit): ${error.message}`)
    const said = stdout.split('\n').filter((line) => /^=========|^FAIL/.test(line))
    note(`sanitizer, ${tool}`, status === 0 ? 0 : 1, 0, `exit code ${status}: ${said.slice(0, 12).join('\n')} … ${said.at(-1) ?? ''}`)
  }
}
