import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { filesOf } from './fixtures.ts'

interface Case {
  kind: string
  modelType: string
  changes: Record<string, unknown>
  expected: { size: number; ids: number[][]; without_special: string[]; printed: string }
}

/** recorded by tools/oracle/tokenizer_configs.py */
const { texts, template, gone, cases } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/tokenizer-configs/cases.json'), 'utf8'),
) as { texts: string[]; template: string; gone: string; cases: Case[] }

test.each(cases.map((c) => [`${c.kind} under ${c.modelType} with ${JSON.stringify(c.changes)}`, c] as const))('%s', (_, c) => {
  const { tokenizerJson, tokenizerConfig } = filesOf(c.kind)
  const config = Object.entries({ ...tokenizerConfig, ...c.changes }).filter(([, value]) => value !== gone)
  const files = { tokenizerJson, tokenizerConfig: Object.fromEntries(config) }
  const tokenizer = new Tokenizer(files, { modelType: c.modelType, chatTemplate: template })
  const plain = texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }))
  expect({
    size: tokenizer.size,
    ids: texts.map((text) => tokenizer.encode(text)),
    without_special: plain.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true })),
    printed: tokenizer.applyChatTemplate([{ role: 'user', content: '' }], { tokenize: false }),
  }).toEqual(c.expected)
})
