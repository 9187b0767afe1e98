/**
 * What is recorded under test/fixtures is what Python says today: whatever npm test holds against these recordings (texts, templates,
 * orders of rows, files, options) holds against Python itself. The other live files hold saqr against Python directly, on other numbers.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { distance } from '../parity/family-case.ts'
import { oracle } from './oracle.ts'

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => relative(folder, path))
    .sort()
}

const recorded = (name: string) => join(import.meta.dirname, '../fixtures', name)

/** what is computed in f32: sums that another processor may add in another order */
const COMPUTED = ['mxfp4-logits.json']

// token ids, targets, templates, rows of files, orders, stored weights and TRL's options: exact
describe.each([
  { script: 'data', name: 'data' },
  { script: 'formats', name: 'formats' },
  { script: 'trl-fields', name: 'trl' },
  { script: 'templates', name: 'templates' },
  { script: 'row_files', name: 'row-files' },
  { script: 'tokenizer_configs', name: 'tokenizer-configs' },
  { script: 'module_regex', name: 'module_regex' },
  { script: 'schedules', name: 'schedules' },
  { script: 'sampling', name: 'sampling' },
  { script: 'dataset_calls', name: 'dataset-calls' },
  { script: 'gguf_families', name: 'gguf-families' },
  { script: 'preference_rows', name: 'preference-rows' },
])('$script.py', async ({ script, name }) => {
  const folder = await oracle(script)
  it.each(filesBelow(recorded(name)))('%s', (path) => {
    const [theirs, ours] = [folder, recorded(name)].map((root) => readFileSync(join(root, path))) as [Buffer, Buffer]
    if (!COMPUTED.includes(path)) return expect(theirs.equals(ours)).toBe(true)
    const [a, b] = [theirs, ours].map((text) => Float32Array.from(JSON.parse(text.toString()))) as [Float32Array, Float32Array]
    // as logits are held everywhere
    expect(a).toHaveLength(b.length)
    expect(distance(a, b)).toBeLessThan(1e-5)
  })
  it('writes nothing that is not recorded', () => {
    expect(filesBelow(folder)).toEqual(filesBelow(recorded(name)))
  })
})

describe('configs.py', async () => {
  const folder = await oracle('configs')
  const read = (root: string, name: string) => JSON.parse(readFileSync(join(root, name), 'utf8'))
  it.each(['keys.json', 'windows.json'])('%s', (file) => {
    expect(read(folder, file)).toEqual(read(recorded('configs'), file))
  })
  it.each(['rope.json', 'rope-phi3.json', 'rope-deepseek.json', 'rope-gpt-oss.json'])(
    '%s, to the last place that another processor may round differently',
    (file) => {
      const [theirs, ours] = [read(folder, file), read(recorded('configs'), file)]
      expect(theirs.map((row: { config: object }) => row.config)).toEqual(ours.map((row: { config: object }) => row.config))
      for (const [i, { expected }] of theirs.entries()) {
        if (expected === null) expect(ours[i].expected).toBeNull()
        else for (const [k, f] of expected.inv_freq.entries()) expect(Math.abs(ours[i].expected.inv_freq[k] / f - 1)).toBeLessThan(2.5e-7)
      }
    },
  )
})

describe('adamw8bit.py', async () => {
  const folder = await oracle('adamw8bit')
  const theirs = valuesOf(join(folder, 'expected.safetensors'))
  const ours = valuesOf(join(recorded('adamw8bit'), 'expected.safetensors'))

  it('expected.json', () => {
    expect(JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'))).toEqual(
      JSON.parse(readFileSync(join(recorded('adamw8bit'), 'expected.json'), 'utf8')),
    )
  })
  it('has the same tensors', () => {
    expect([...theirs.keys()].sort()).toEqual([...ours.keys()].sort())
  })
  it.each([...ours.keys()])('%s', (name) => {
    const [a, b] = [theirs.get(name)!, ours.get(name)!]
    if (a instanceof Uint8Array && b instanceof Uint8Array) {
      // a value within rounding of the middle between two codes may go the other way on another processor
      expect(a.filter((code, i) => code !== b[i]).length).toBeLessThanOrEqual(3)
    } else {
      expect(distance(a as Float32Array, b as Float32Array)).toBeLessThan(1e-3)
    }
  })
})

/** codes as bytes, everything else as f32 */
function valuesOf(path: string): Map<string, Float32Array | Uint8Array> {
  const file = readFileSync(path)
  return new Map(
    [...readSafetensors(path).tensors].map(([name, { offset, bytes, dtype }]) => {
      const data = new Uint8Array(file.subarray(offset, offset + bytes))
      return [name, dtype === 'U8' ? data : new Float32Array(data.buffer)]
    }),
  )
}
