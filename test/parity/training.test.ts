/** Thirty optimizer steps against TRL's SFTTrainer in f32, as recorded by tools/oracle/training.py: same rows, same order, same numbers. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { offOf, trainCase } from './training-case.ts'

const root = join(import.meta.dirname, '../fixtures/training')

describe.each(readdirSync(root))('%s', (name) => {
  const folder = join(root, name)
  it('has the losses, gradient norms, learning rates and final weights of TRL', async () => {
    const outputDir = mkdtempSync(join(tmpdir(), 'saqr-'))
    const device = new CpuDevice({ threads: 2 })
    try {
      const found = offOf(folder, await trainCase(folder, outputDir, device))
      expect(found.length).toBeGreaterThan(30)
      for (const { what, off, allowed } of found) expect(off, what).toBeLessThanOrEqual(allowed)
    } finally {
      device.dispose()
      rmSync(outputDir, { recursive: true })
    }
  })
})
