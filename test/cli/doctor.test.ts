import { describe, expect, it } from 'vitest'
import { run } from '../../src/cli/run.ts'
import type { Verb } from '../../src/cli/verb.ts'
import { doctor } from '../../src/cli/verbs/doctor.ts'

async function saqr(...args: string[]) {
  let text = ''
  const stream = { isTTY: false, columns: 100, write: (more: string) => void (text += more) }
  const verbs = [{ name: 'doctor', summary: '', load: async () => doctor as unknown as Verb }]
  return { code: await run(['doctor', ...args], { out: stream, err: stream, signal: new AbortController().signal }, verbs), text }
}

describe('doctor', () => {
  it('finds the CPU library and says what is wrong where there is no GPU', async () => {
    const { code, text } = await saqr('--no_probe')
    expect(code).toBe(0)
    expect(text).toMatch(/^✓ saqr {6}\d+\.\d+\.\d+ on Node \d+/)
    expect(text).toMatch(/^✓ cpu {7}\d+ threads, \S+$/m)
    expect(text).toMatch(/^(✓ cuda {6}.+, sm_\d+|– cuda {6}DEVICE_CUDA_MISSING: )/m)
  })

  it('gives the same as JSON', async () => {
    const findings = JSON.parse((await saqr('--json', '--probe', 'false')).text) as { name: string; ok: boolean; lines: string[] }[]
    expect(findings.slice(0, 3).map((f) => f.name)).toEqual(['saqr', 'cpu', 'cuda'])
    expect(findings[1]!.ok).toBe(true)
  })
})
