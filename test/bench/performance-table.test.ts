/** The README's table from raw output: what stands in a cell, and that numbers of two cards never mix. */
import { expect, test } from 'vitest'
import { baselineOf, CASES } from '../../bench/cuda-cases.ts'
import { performanceTable } from '../../tools/performance-table.ts'

const header = { at: '2026-11-26T06:00:00Z', card: 'NVIDIA H100', driver: '580.1' }
const saqr = (name: string, tokensPerSecond: number, more = {}) => ({
  side: 'saqr',
  case: name,
  tokensPerSecond,
  peakBytes: 7.5 * 2 ** 30,
  atTheLimit: 0.724,
  firstStepSeconds: 1.26,
  ...more,
})
const unsloth = (cases: string[], tokensPerSecond?: number) => ({
  side: 'unsloth',
  cases,
  tokensPerSecond,
  peakBytes: 2 ** 33,
  firstStepSeconds: 30,
})
const file = (...lines: object[]) => lines.map((line) => JSON.stringify(line)).join('\n')

test('a row has the median of its rounds, memory, share of the limit and the baseline beside it', () => {
  const text = performanceTable([
    file(
      header,
      ...[11000, 12345, 20000].map((speed) => saqr('qlora-2x2048', speed)),
      unsloth(['qlora-2x2048', 'qlora-first-cold'], 10000),
      saqr('qlora-8x2048', 11000),
      unsloth(['qlora-8x2048']),
      saqr('qlora-2x2048-7.5', 12345),
      saqr('qlora-dropout', 11110.5),
      saqr('qlora-first-cold', 1, { firstStepSeconds: 3.04 }),
      saqr('qlora-first-cached', 1),
      saqr('qlora-sizes', 1, { newSizeSeconds: [0.1, 0.2, 0.3] }),
      { side: 'failed', what: 'qlora-bias', message: 'no' },
    ),
  ])
  expect(text).toContain('NVIDIA H100, driver 580.1, 2026-11-26')
  expect(text).toContain('| QLoRA 2×2048 in 6 GiB | 12,345 tok/s, 7.5 GiB | 72 % | 10,000 tok/s, 8.0 GiB | 1.23× |')
  expect(text).toContain('| QLoRA 8×2048 in 8.5 GiB | 11,000 tok/s, 7.5 GiB | 72 % | out of memory |  |')
  expect(text).toContain('| dropout 0.05 | 90 % |  |')
  expect(text).toContain('| first step, kernels cached | 1.3 s |  |')
  expect(text).toContain('| first step, nothing compiled before | 3.0 s | 30.0 s |')
  expect(text).toContain('| a pass size for the first time | 200 ms |  |')
})

test('numbers of two cards make no table', () => {
  const raw = (card: string) => file({ ...header, card }, saqr('qlora-2x2048', 1))
  expect(() => performanceTable([raw('NVIDIA H100'), raw('NVIDIA H200')])).toThrow(/one card/)
})

test('cases have names of their own, and what they are a share of is a case', () => {
  expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length)
  for (const { plain } of CASES) if (plain) expect(CASES.map(({ name }) => name)).toContain(plain)
})

test('a baseline is asked for the same rows and adapter', () => {
  const of = (name: string) => baselineOf(CASES.find((c) => c.name === name)!, 'unsloth')
  expect(of('qlora-2x2048')).toEqual({ mode: 'unsloth-nf4-ckpt', case: '2x2048' })
  expect(of('qlora-system-free-shared')).toEqual({ mode: 'unsloth-nf4', case: 'sys150:2x4' })
  expect(of('qlora-r128')).toEqual({ mode: 'unsloth-nf4-ckpt-r128', case: '2x2048' })
  expect(of('1b-alpaca')).toEqual({ mode: 'unsloth-bf16', case: 'alp2x4' })
  expect(of('qlora-sizes')).toBeNull()
})
