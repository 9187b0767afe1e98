/** Thirty optimizer steps from other weights than those recorded, against TRL's SFTTrainer as it is installed, in f32: what it logs and where it ends. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { offOf, trainCase } from '../parity/training-case.ts'
import { oracle } from './oracle.ts'

const root = await oracle('training', '--seed', '1')

it.each(readdirSync(root))('%s', async (name) => {
  const folder = join(root, name)
  const outputDir = mkdtempSync(join(tmpdir(), 'saqr-out-'))
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
