/** Thirty optimizer steps in f32 through the trainer, against TRL's as recorded: losses, gradient norms, rates, evaluations, final weights. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { offOf, trainCase } from '../../test/parity/training-case.ts'
import { fixtures, messageOf, note, refused } from './findings.ts'

export async function checkCurves(open: () => Device = () => new CudaDevice()): Promise<void> {
  const root = join(fixtures, 'training')
  for (const name of readdirSync(root)) {
    const outputDir = mkdtempSync(join(tmpdir(), 'saqr-curves-'))
    const device = open()
    try {
      const found = offOf(join(root, name), await trainCase(join(root, name), outputDir, device))
      for (const { what, off, allowed } of found) note(`TRL's ${name}: ${what}`, off, allowed)
    } catch (error) {
      if (!refused(name, messageOf(error))) throw error
    } finally {
      device.dispose()
      rmSync(outputDir, { recursive: true })
    }
  }
}
