/** Whole models in f32: loss and every gradient as transformers and PEFT compute them. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { CudaDevice } from '../../src/devices/cuda/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { compute, expectedOf, distance as gradientDistance, readTensors } from '../../test/parity/family-case.ts'
import { families, messageOf, note, refused } from './findings.ts'

export async function checkFamilies(open: () => Device = () => new CudaDevice()): Promise<void> {
  for (const name of readdirSync(families)) {
    const folder = join(families, name)
    for (const policy of ['all', 'recompute', 'offload', 'offload-more'] as const) {
      const device = open()
      try {
        const { loss, gradients } = await compute(folder, device, { prefixSharing: true, policy })
        const e = expectedOf(folder)
        const tensors = readTensors(join(folder, 'expected.safetensors'))
        note(`${name}, ${policy}: loss`, Math.abs(loss - e.loss) / e.loss, 1e-5)
        for (const [key, { distance: own }] of Object.entries(e.gradients)) {
          note(`${name}, ${policy}: d${key}`, gradientDistance(gradients.get(key)!, tensors.get(`grad.${key}`)!), Math.max(1e-5, 3 * own))
        }
      } catch (error) {
        const message = messageOf(error)
        if (/lora_bias/.test(message) || refused(name, message)) continue
        note(`${name}, ${policy}`, Infinity, 0, message)
      } finally {
        device.dispose()
      }
    }
  }
}
