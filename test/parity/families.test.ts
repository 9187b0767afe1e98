import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { compute, distance, expectedOf, readTensors } from './family-case.ts'

const root = join(import.meta.dirname, '../fixtures/families')

/** computed by PEFT in a way that saqr refuses by name */
const refused = new Set(['lora-lora-bias'])

it.each([...refused])('%s is refused by name', async (name) => {
  await expect(compute(join(root, name), new ReferenceDevice())).rejects.toThrow(/lora_bias/)
})

describe.each(readdirSync(root).filter((name) => !refused.has(name)))('%s', (name) => {
  const folder = join(root, name)
  it('has the loss and gradients of transformers and PEFT on the reference device', async () => {
    const expected = expectedOf(folder)
    const tensors = readTensors(join(folder, 'expected.safetensors'))
    const { loss, gradients } = await compute(folder, new ReferenceDevice())
    expect(Math.abs(loss - expected.loss)).toBeLessThan(1e-5 * expected.loss)
    for (const [key, { distance: own }] of Object.entries(expected.gradients)) {
      const d = distance(gradients.get(key)!, tensors.get(`grad.${key}`)!)
      expect(d, key).toBeLessThan(Math.max(1e-5, 3 * own))
    }
    expect(gradients.size).toBe(Object.keys(expected.gradients).length)
  })
})
