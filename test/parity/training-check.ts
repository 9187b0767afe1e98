/** A training case as a test holds it: on the CPU, everything within what is allowed. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { offOf, trainCase } from './training-case.ts'

export async function expectTrained(folder: string, recorded = false, more: object = {}): Promise<void> {
  const outputDir = mkdtempSync(join(tmpdir(), 'saqr-'))
  const device = new CpuDevice({ threads: 2 })
  try {
    const found = offOf(folder, await trainCase(folder, outputDir, device, more), recorded)
    expect(found.length).toBeGreaterThan(30)
    for (const { what, off, allowed } of found) expect(off, what).toBeLessThanOrEqual(allowed)
  } finally {
    device.dispose()
    rmSync(outputDir, { recursive: true })
  }
}
