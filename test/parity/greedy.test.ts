/** The first greedy tokens over the KV cache are those of transformers, for every family and adapter that was recorded. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenModel } from '../../src/engine/open-model.ts'
import { openCheckpoint } from '../../src/formats/checkpoint.ts'
import { generateIds } from '../../src/generate/generate.ts'

const root = join(import.meta.dirname, '../fixtures/families')
const devices: CpuDevice[] = []
afterAll(() => {
  for (const device of devices) device.dispose()
})

interface Greedy {
  prompt: number[]
  tokens: number[]
}

const recorded = readdirSync(root).flatMap((name) => {
  const { greedy } = JSON.parse(readFileSync(join(root, name, 'expected.json'), 'utf8')) as { greedy?: Greedy }
  // lora_bias is refused by name (families.test.ts)
  return greedy && name !== 'lora-lora-bias' ? [{ name, greedy }] : []
})

it('has something to compare', () => expect(recorded.length).toBeGreaterThan(20))

it.each(recorded)('$name', async ({ name, greedy }) => {
  const folder = join(root, name)
  const device = new CpuDevice({ threads: 2 })
  devices.push(device)
  const open = new OpenModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
  const adapter = join(folder, 'adapter')
  const model = existsSync(adapter) ? loadAdapter(open, adapter) : new LanguageModel(open, { kind: 'none' }, 0)
  const tokens: number[] = []
  for await (const id of generateIds(model, greedy.prompt, new Set(), { maxNewTokens: greedy.tokens.length })) tokens.push(id)
  expect(tokens).toEqual(greedy.tokens)
})
