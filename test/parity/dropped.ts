/** What tools/oracle/families_dropout.py recorded of an adapter over single experts' linears, whose inputs are dropped, beside saqr's. */
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Device } from '../../src/devices/device.ts'
import { readAdapterConfig } from '../../src/formats/peft/config.ts'
import { type CaseOptions, compute, distance, expectedOf, readTensors } from './family-case.ts'

export async function checkDropped(folder: string, device: Device, options: CaseOptions = {}): Promise<void> {
  const config = { ...readAdapterConfig(join(folder, 'adapter-apart')), loraDropout: 0.3 }
  const { loss, gradients } = await compute(folder, device, { ...options, adapter: { kind: 'lora', config } })
  const theirs = readTensors(join(folder, 'adapter-apart/dropped.safetensors'))
  const expected = expectedOf(folder)
  expect(Math.abs(loss - theirs.get('loss')![0]!)).toBeLessThan(1e-5 * loss)
  // nothing dropped is far from it
  expect(Math.abs(loss - expected.loss)).toBeGreaterThan(1e-3)
  // f32 sums in another order than torch's: within three times torch's own distance from f64 without dropout, or 1e-5
  for (const [key, { distance: own }] of Object.entries(expected.gradients))
    expect(distance(gradients.get(key)!, theirs.get(`grad.${key}`)!), key).toBeLessThan(Math.max(1e-5, 3 * own))
}
