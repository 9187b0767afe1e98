import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type AddedCase, heldAgainst } from './added-tokens.ts'
import { filesOf } from './fixtures.ts'

/** recorded by tools/oracle/added_tokens.py */
const cases = JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/added-tokens/cases.json'), 'utf8')) as AddedCase[]

test('added tokens with every flag, of white space and of composed characters too, as the tokenizers library finds them; and whose characters they are', () => {
  const { wrong, ids, masks, refused } = heldAgainst(cases, (kind) => (filesOf(kind).tokenizerJson as { model: object }).model)
  expect(wrong).toEqual([])
  expect(ids).toBeGreaterThan(500)
  expect(masks).toBeGreaterThan(450)
  expect(refused).toBeLessThan(ids / 20)
  for (const flag of ['single_word', 'lstrip', 'rstrip', 'normalized'] as const) {
    expect(cases.flatMap((c) => c.definition.added_tokens).filter((t) => t[flag]).length, flag).toBeGreaterThan(10)
  }
})
