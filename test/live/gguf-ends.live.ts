/** Every token that ends an answer of a GGUF file, and no other, is one to llama.cpp too: of files that name some, and have texts that it knows. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { libraries, oracle } from './oracle.ts'

it('ends', async () => {
  const folder = await oracle('llama_ends', libraries, String(Date.now() % 1e6))
  const cases = Object.entries(JSON.parse(readFileSync(join(folder, 'ends.json'), 'utf8')) as Record<string, number[]>)
  expect(cases.length).toBeGreaterThan(20)
  for (const [name, expected] of cases) {
    const { generationConfig } = openCheckpoint(join(folder, `${name}.gguf`))
    const ours = [generationConfig?.eos_token_id ?? []].flat() as number[]
    expect([name, ours.toSorted((a, b) => a - b)]).toEqual([name, expected])
  }
}, 60_000)
