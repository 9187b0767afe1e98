/** Tokens added to a tokenizer are those of the tokenizers library. Recorded by tools/oracle/extended.py. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { heldAgainst } from './extended.ts'

const folder = join(import.meta.dirname, '../fixtures/extended')

it('adds what the tokenizers library adds, with its ids and counts', () => {
  const { wrong, compared } = heldAgainst(folder)
  expect(wrong).toEqual([])
  expect(compared).toBeGreaterThan(800)
})

it('tells what it does not take', () => {
  const tokenizer = new Tokenizer(readTokenizerFiles(join(folder, 'tied-full'))!)
  const { size } = tokenizer
  expect(() => tokenizer.addTokens([3 as never])).toThrow(/addTokens takes texts/)
  expect(() => tokenizer.addTokens([{ contnt: '<x>' } as never])).toThrow(/content/)
  expect(() => tokenizer.addTokens([{ lstrip: true } as never])).toThrow(/needs its content/)
  expect(() => tokenizer.addSpecialTokens({ eosTokn: '<x>' } as never)).toThrow(/eosToken/)
  expect(tokenizer.size).toBe(size)
})
