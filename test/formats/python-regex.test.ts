/** Python's regular expressions mean here what they mean in Python, or are refused. Recorded by tools/oracle/module_regex.py. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { matches } from '../../src/adapters/match.ts'
import { rankOf } from '../../src/formats/peft/scale.ts'

interface Recorded {
  paths: string[]
  cases: { pattern: string; matches: string[] | null; refused?: true }[]
}
const { paths, cases } = JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/module_regex/cases.json'), 'utf8')) as Recorded

it.each(cases.map((one) => [one.pattern, one] as const))('%s', (pattern, { matches: expected, refused }) => {
  const ours = () => paths.filter((path) => matches(pattern, path))
  if (expected === null || refused) expect(ours).toThrow(expect.objectContaining({ code: 'OPTION_MODULES' }))
  else expect(ours()).toEqual(expected)
})

it('the error says what it is and what of it is not understood', () => {
  expect(() => matches('(?x) q_proj', 'q_proj')).toThrow(/regular expression in Python's syntax, has the flag x/)
  expect(() => matches('(?i:q_proj)', 'q_proj')).toThrow(/"\(\?i:q_proj/)
})

it('keys of rank_pattern are such expressions, without flags', () => {
  const config = { r: 8, loraAlpha: 8, useRslora: false, alphaPattern: {} }
  const rank = (key: string, path: string) => rankOf({ ...config, rankPattern: { [key]: 2 } }, path)
  expect(rank('(?P<which>q|k)_proj', 'model.layers.0.self_attn.k_proj')).toBe(2)
  expect(rank('layers\\.1\\..*\\Z', 'model.layers.1.mlp.up_proj')).toBe(2)
  expect(rank('lay[]e]rs', 'model.layers')).toBe(2)
  expect(() => rank('(?i)Q_PROJ', 'q_proj')).toThrow(
    expect.objectContaining({ code: 'FORMAT_ADAPTER', message: expect.stringContaining('flags') }),
  )
})
