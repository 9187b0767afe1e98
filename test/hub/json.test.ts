import { describe, expect, test } from 'vitest'
import { parseJson } from '../../src/hub/json.ts'
import { jsonBreak } from '../../src/hub/json-place.ts'

describe('a text that is no JSON', () => {
  // the place is marked by what can't stand there
  test.each([
    ['{"text": ', 'bad}'],
    ['{"a": ', 'NaN}'],
    ['[1,2,', ']'],
    ['{"a":1,', '}'],
    ['{', "'a':1}"],
    ['"ab', '\\x"'],
    ['"ab', ''],
    ['[0', '1]'],
    ['[1] ', 'x'],
    ['{"a" ', '1}'],
    ['[]', ']'],
    ['"a', '\tb"'],
    ['{"a":{"b":[]}', ''],
    ['', ''],
    ['[', ',]'],
    ['{"a":1', ']'],
    ['{"a":[],', '1}'],
  ])('%s|%s', (before, after) => {
    const text = before + after
    expect(() => JSON.parse(text)).toThrow()
    expect(jsonBreak(text)).toBe(before.length)
  })

  test('is read to its end where it is JSON', () => {
    const text = JSON.stringify({ a: [1, -2.5e-3, { b: null, c: 'x\n\u2028"\\' }], d: {}, e: [], f: [true, false, []] }, null, 1)
    expect(jsonBreak(text)).toBe(text.length)
  })

  test('is named with line and column, once each', () => {
    expect(() => parseJson('[1,\n 2 3]', 'f.json')).toThrow(/^f\.json, line 2, column 4 is not valid JSON: [^:]*\.$/)
    expect(() => parseJson('[NaN]', 'f.jsonl, line 7', { line: true })).toThrow(
      /^f\.jsonl, line 7, column 2 is not valid JSON: Unexpected token 'N'\.$/,
    )
  })
})
