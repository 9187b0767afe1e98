/** What is merged a few rows at a time is what is merged whole: low-rank parts, an embedding's among them, tensors trained whole and rows of tokens. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { changesOf } from '../../src/export/changed.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { asTrained } from '../engine/as-trained.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-rows-'))
beforeAll(() => writeTinyModel(folder))
afterAll(() => rmSync(folder, { recursive: true }))

it.each([
  ['linears', { targetModules: ['q_proj', 'down_proj'] }, ['q_proj', 'down_proj']],
  ['the embedding', { targetModules: ['q_proj', 'embed_tokens'] }, ['q_proj', 'embed_tokens']],
  ['trained whole', { targetModules: ['q_proj'], modulesToSave: ['embed_tokens'] }, ['q_proj', 'embed_tokens']],
  ['rows of tokens', { targetModules: ['q_proj'], trainableTokenIndices: [2, 7] }, ['q_proj', 'embed_tokens']],
])('%s', async (_, config, named) => {
  const { model } = await FastLanguageModel.fromPretrained(folder, { device: 'cpu', dtype: 'float32' })
  const trained = asTrained(model, { r: 4, loraAlpha: 8, ...config })
  const language = trained.language
  const { changed } = changesOf(language)
  const found = new Set<string>()
  for (const t of language.opened.checkpoint.tensors.values()) {
    const rows = changed(t)
    if (!rows) continue
    found.add(t.name.split('.').at(-2)!)
    const whole = rows.rows(0, t.rows).slice()
    expect(whole).not.toEqual(new Float32Array(t.load('f32').slice().buffer))
    for (const [from, count] of [[t.rows - 1, 1], [0, 1], [1, 2], [3, t.rows - 3]] as const) // biome-ignore format: four parts
      expect(rows.rows(from, count)).toEqual(whole.subarray(from * t.cols, (from + count) * t.cols))
  }
  expect([...found].sort()).toEqual([...named].sort())
  await model.dispose()
})
