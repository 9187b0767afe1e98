import { describe, expect, it } from 'vitest'
import { doctor } from '../../src/cli/verbs/doctor.ts'
import { commandLine } from './saqr.ts'

const saqr = (...args: string[]) => commandLine({ doctor })('doctor', ...args)

describe('doctor', () => {
  it('finds the CPU library and says what is wrong where there is no GPU', async () => {
    const { code, out } = await saqr('--no_probe')
    expect(code).toBe(0)
    expect(out).toMatch(/^✓ saqr {6}\d+\.\d+\.\d+ on Node \d+/)
    expect(out).toMatch(/^✓ cpu {7}\d+ threads, \S+$/m)
    expect(out).toMatch(/^(✓ cuda {6}.+, sm_\d+|– cuda {6}DEVICE_CUDA_MISSING: )/m)
  })

  it('gives the same as JSON', async () => {
    const findings = JSON.parse((await saqr('--json', '--probe', 'false')).out) as { name: string; ok: boolean; lines: string[] }[]
    expect(findings.slice(0, 3).map((f) => f.name)).toEqual(['saqr', 'cpu', 'cuda'])
    expect(findings[1]!.ok).toBe(true)
  })
})
