/** What is kept of a machine's limits, and how much of a card measuring them takes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { probeSizes } from '../../src/devices/cuda/limits.ts'
import { limitsOf, type Measured } from '../../src/devices/limits.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-limits-'))
  vi.stubEnv('XDG_CACHE_HOME', folder)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

const kept = () => Object.values(JSON.parse(readFileSync(join(folder, 'saqr/limits.json'), 'utf8')) as object)

it('what was measured with too little memory counts for this process, and is not kept', () => {
  const rough: Measured = { f32: 1, bf16: 2, copy: 3, rough: true }
  expect(limitsOf('a card that is nearly full', () => rough)).toEqual({ f32: 1, bf16: 2, copy: 3 })
  expect(limitsOf('a card that is nearly full', () => ({ f32: 9, bf16: 9, copy: 9 }))).toEqual({ f32: 1, bf16: 2, copy: 3 })
  expect(() => kept()).toThrow(/ENOENT/)
  limitsOf('a card that is nearly full', () => ({ f32: 4, bf16: 5, copy: 6 }), true)
  expect(kept()).toEqual([{ f32: 4, bf16: 5, copy: 6 }])
})

it.each([
  [80 * 2 ** 30, 4096],
  [2 ** 30, 4096],
  [2 ** 30 - 1, 2048],
  [300 << 20, 2048],
  [40 << 20, 512],
  [0, 512],
])('of %i free bytes a probe takes at most half, down to a sixty-fourth of what it would', (free, n) => {
  const sizes = probeSizes(free)
  expect(sizes.n).toBe(n)
  // two buffers of a copy, three matrices in f32
  for (const bytes of [2 * sizes.copy, 3 * 4 * n * n]) expect(bytes).toBeLessThanOrEqual(Math.max(free / 2, 8 << 20))
})
