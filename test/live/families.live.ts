/**
 * Every family and adapter against transformers and PEFT as they are installed: loss, gradients and 64 greedy tokens (or one whole answer, where a
 * model's answers all end earlier) in f32, of other weights and rows than those recorded. What npm test checks beside (other devices, other cuts)
 * would say nothing new here.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { answersOf } from '../generate/texts.ts'
import { checkDropped } from '../parity/dropped.ts'
import { compute, distance, expectedOf, readTensors } from '../parity/family-case.ts'
import { withModel } from '../parity/with-model.ts'
import { oracle } from './oracle.ts'

const root = await oracle('families', '--seed', '1', '--greedy', '64')
/** PEFT computes it, saqr refuses it by name */
const refused = 'lora-lora-bias'

it.each(readdirSync(root).filter((name) => name !== refused))('%s', async (name) => {
  const folder = join(root, name)
  const device = new CpuDevice({ threads: 2 })
  try {
    const { loss, gradients } = await compute(folder, device, { prefixSharing: true })
    const expected = expectedOf(folder)
    const theirs = readTensors(join(folder, 'expected.safetensors'))
    expect(Math.abs(loss - expected.loss)).toBeLessThan(1e-5 * expected.loss)
    expect([...gradients.keys()].sort()).toEqual(Object.keys(expected.gradients).sort())
    // f32 sums in another order than torch's: within three times torch's own distance from f64, or 1e-5
    for (const [key, { distance: own }] of Object.entries(expected.gradients)) {
      expect(distance(gradients.get(key)!, theirs.get(`grad.${key}`)!), key).toBeLessThan(Math.max(1e-5, 3 * own))
    }
  } finally {
    device.dispose()
  }
  if (existsSync(join(folder, 'adapter-apart'))) {
    const another = new CpuDevice({ threads: 2 })
    await checkDropped(folder, another)
    another.dispose()
  }
  const { greedy } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'))
  // fewer where the model's answers end early: with its end token
  expect(greedy.tokens.length === 64 || greedy.tokens.at(-1) === 2, `${greedy.tokens.length} tokens`).toBe(true)
  await withModel(folder, async (model) => {
    // an answer ends where the model's positions do
    const most = model.opened.model.maxPositions - greedy.prompt.length
    expect(await answersOf(model, [greedy.prompt], { maxNewTokens: greedy.tokens.length })).toEqual([greedy.tokens.slice(0, most)])
  })
})
