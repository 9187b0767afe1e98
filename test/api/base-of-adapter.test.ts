/** An adapter says over which form of its base it was trained, and is opened so again. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { generate } from '../../src/cli/verbs/generate.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { commandLine } from '../cli/saqr.ts'

const base = join(import.meta.dirname, '../fixtures/training/evaluation/model')
const work = mkdtempSync(join(tmpdir(), 'saqr-base-'))
afterAll(() => rmSync(work, { recursive: true }))

const said = async (folder: string, ...flags: string[]) => {
  const { code, err } = await commandLine({ generate })(
    'generate',
    '--model_name_or_path',
    folder,
    '--use_cpu',
    '--max_new_tokens',
    '1',
    ...flags,
    'a',
  )
  expect(code, err).toBe(0)
  return err
}

test.each([true, false])('trained with loadIn4bit %s', async (loadIn4bit) => {
  const folder = join(work, String(loadIn4bit))
  const { model } = await FastLanguageModel.fromPretrained(base, { device: 'cpu', loadIn4bit })
  await FastLanguageModel.getPeftModel(model, { r: 4 }).savePretrained(folder)
  await model.dispose()
  expect(JSON.parse(readFileSync(join(folder, 'saqr.json'), 'utf8')).base).toEqual({ load_in_4bit: loadIn4bit })
  const { model: again } = await FastLanguageModel.fromPretrained(folder, { device: 'cpu' })
  expect(again.language.opened.choice.loadIn4bit).toBe(loadIn4bit)
  await again.dispose()
  const same = loadIn4bit ? ['--load_in_4bit'] : []
  const other = loadIn4bit ? [] : ['--load_in_4bit']
  expect(await said(folder, ...same)).not.toMatch(/was trained over/)
  expect(await said(folder, ...other)).toMatch(
    loadIn4bit ? /over its base in 4 bits, and here .* in bf16/ : /unquantised, and here .* in 4 bits/,
  )
})
