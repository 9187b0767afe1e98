/**
 * `node --import ./tools/ts.mjs tools/prove-draws.ts FROM TO [--half] [--out FILE.jsonl]`
 *
 * Runs that are drawn at random (trainer, family, rows, options), each proven with TRL by `saqr prove`: what nobody thought of as a case. A number is a
 * draw, the same for ever; a line of --out says it, what was found, and which check failed. Two seconds a draw: Python has TRL loaded (warm.py).
 * --half: models of bf16, computed so or over 4 bits in every second draw; else f32, where differences are roundings.
 */
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { warmPython } from '../test/live/warm.ts'
import { prover } from './prove-draws/prove.ts'

const root = join(import.meta.dirname, '..')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    half: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})
const [from, to] = positionals.map(Number)
if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) {
  console.error('prove-draws needs two numbers: the first draw, and the one behind the last')
  process.exit(2)
}
// before Python has loaded anything
Object.assign(process.env, {
  HF_HUB_OFFLINE: '1',
  OMP_WAIT_POLICY: 'PASSIVE',
  TOKENIZERS_PARALLELISM: 'false',
  TRL_EXPERIMENTAL_SILENCE: '1',
})

const work = mkdtempSync(join(tmpdir(), 'saqr-draws-'))
const { program, end } = await warmPython(join(root, 'tools/oracle/warm.py'))
const counts = new Map<string, number>()
try {
  const proven = prover(work, program, values.half)
  for (let number = from!; number < to!; number++) {
    const found = await proven(number)
    counts.set(found.verdict, (counts.get(found.verdict) ?? 0) + 1)
    if (values.out) appendFileSync(values.out, `${JSON.stringify(found)}\n`)
    if (found.verdict !== 'holds') console.log(JSON.stringify(found))
  }
} finally {
  await end()
  rmSync(work, { recursive: true })
}
console.log(`${[...counts].map(([verdict, count]) => `${verdict}: ${count}`).join(', ')} of ${to! - from!}`)
if (counts.has('fails')) process.exitCode = 1
