/** Every family and adapter against transformers and PEFT in f32, as recorded by tools/oracle/families.py. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { Device } from '../../src/devices/device.ts'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { type CaseOptions, type Computed, compute, distance, expectedOf, readTensors } from './family-case.ts'

const root = join(import.meta.dirname, '../fixtures/families')
/** computed by PEFT in a way that saqr refuses by name */
const refused = new Set(['lora-lora-bias'])

it.each([...refused])('%s is refused by name', async (name) => {
  await expect(compute(join(root, name), new ReferenceDevice())).rejects.toThrow(/lora_bias/)
})

/** f32 sums in another order than torch's: within three times torch's own distance from f64, or 1e-5 */
function check(folder: string, { loss, gradients }: Computed): void {
  const expected = expectedOf(folder)
  const tensors = readTensors(join(folder, 'expected.safetensors'))
  expect(Math.abs(loss - expected.loss)).toBeLessThan(1e-5 * expected.loss)
  for (const [key, { distance: own }] of Object.entries(expected.gradients)) {
    expect(distance(gradients.get(key)!, tensors.get(`grad.${key}`)!), key).toBeLessThan(Math.max(1e-5, 3 * own))
  }
  expect(gradients.size).toBe(Object.keys(expected.gradients).length)
}

async function on(device: Device, folder: string, options: CaseOptions = {}): Promise<Computed> {
  try {
    return await compute(folder, device, options)
  } finally {
    device.dispose()
  }
}

describe.each(readdirSync(root).filter((name) => !refused.has(name)))('%s', (name) => {
  const folder = join(root, name)

  it('has the loss and gradients of transformers and PEFT on the reference device', async () => {
    check(folder, await on(new ReferenceDevice(), folder))
  })

  it('and on the CPU, rows sharing their beginnings, whatever is recomputed, to the same bits', async () => {
    const kept = await on(new CpuDevice({ threads: 2 }), folder, { prefixSharing: true })
    check(folder, kept)
    for (const policy of ['lean', 'recompute', 'offload', 'offload-more'] as const) {
      expect(await on(new CpuDevice({ threads: 2 }), folder, { prefixSharing: true, policy })).toEqual(kept)
    }
  })

  it('and cut into small passes', async () => {
    check(folder, await on(new CpuDevice({ threads: 1 }), folder, { maxPassTokens: 128 }))
  })
})

it.each([CpuDevice, ReferenceDevice])(
  'gpt-oss with each expert by itself, (out, in), computed with the codes of its file: %o',
  async (Kind) => {
    const folder = join(root, 'gpt-oss-apart')
    check(folder, await on(new Kind({ threads: 2 }), folder, { loadIn4bit: true }))
  },
)
