/** Tiny GGUF files of families that have names, values or an order of their own, as tools/oracle/gguf_families.py makes and reads them. */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parametersOf } from '../../src/engine/settle.ts'
import { type JsonObject, readJsonObject } from '../../src/formats/json.ts'
import { exactEntries } from '../../src/formats/json-exact.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'

const folder = join(import.meta.dirname, '../fixtures/gguf-families')
const names = readdirSync(folder).flatMap((file) => (file.endsWith('.gguf') ? [file.slice(0, -5)] : []))

describe.each(names)('%s', (name) => {
  const { config, tensors } = readJsonObject(join(folder, `${name}.json`)) as Record<'config' | 'tensors', JsonObject>
  const checkpoint = openCheckpoint(join(folder, `${name}.gguf`))

  it('has the configuration of transformers, floats as floats', () => {
    const ours = new Map(exactEntries(checkpoint.config))
    for (const [key, value] of exactEntries(config)) expect([key, ours.get(key)]).toEqual([key, value])
  })

  it('has its tensors, bit for bit, and those that the model is made of', () => {
    const ours = Object.fromEntries(
      [...checkpoint.tensors.values()].map((t) => [t.name, createHash('sha256').update(t.load('f32')).digest('hex')]),
    )
    expect(ours).toEqual(tensors)
    const model = openConfig(checkpoint.config)
    // as files have it: experts by themselves
    const made = [...parametersOf(model).keys()].flatMap((key) => model.pieces?.(key)[0] ?? [key])
    expect(made.sort()).toEqual(Object.keys(tensors).sort())
  })
})
