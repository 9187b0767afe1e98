import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Float, pythonFloat, readJson, readJsonObject, show, stringifyJson } from '../../src/formats/json.ts'
import { recorded, temporary } from './fixtures.ts'

const python = recorded<{ numbers: [string, string][]; value: unknown; compact: string; sorted: string; unicode: string }>('json.json')

describe('text as Python writes it', () => {
  test.each(python.numbers)('%s is %s', (hex, text) => {
    expect(pythonFloat(Buffer.from(hex, 'hex').readDoubleLE())).toBe(text)
  })

  test('nested values: one line, sorted and indented, with and without escapes', () => {
    expect(stringifyJson(python.value)).toBe(python.compact)
    expect(stringifyJson(python.value, { indent: 2, sortKeys: true })).toBe(python.sorted)
    expect(stringifyJson(python.value, { indent: 1, ascii: false })).toBe(python.unicode)
  })

  test('a number marked as float keeps its point', () => {
    expect(stringifyJson({ a: new Float(1), b: 1 })).toBe('{"a": 1.0, "b": 1}')
  })
})

describe('reading', () => {
  const file = (content: string | Buffer) => {
    const path = join(temporary(), 'x.json')
    writeFileSync(path, content)
    return path
  }

  test('names file, line and column of a mistake', () => {
    const path = file('{\n  "a": 1,\n  "b" 2\n}')
    expect(() => readJson(path)).toThrow(
      expect.objectContaining({ code: 'FORMAT_JSON', message: expect.stringMatching(/x\.json.*line 3, column 7/) }),
    )
  })

  test('refuses what is not UTF-8, no object, not there, or a folder', () => {
    expect(() => readJson(file(Buffer.from([0x22, 0xff, 0x22])))).toThrow(expect.objectContaining({ code: 'FORMAT_TEXT' }))
    expect(() => readJsonObject(file('[1]'))).toThrow(
      expect.objectContaining({ code: 'FORMAT_JSON', message: expect.stringContaining('a list') }),
    )
    expect(() => readJson(join(temporary(), 'none'))).toThrow(expect.objectContaining({ code: 'FORMAT_NOT_FOUND' }))
    expect(() => readJson(temporary())).toThrow(expect.objectContaining({ code: 'FORMAT_NOT_A_FILE' }))
  })

  test('takes a byte order mark and U+FFFD', () => {
    expect(readJson(file('\ufeff"\ufffd"'))).toBe('\ufffd')
  })
})

test('values in messages are short, however deep', () => {
  let deep: unknown = []
  for (let i = 0; i < 100_000; i++) deep = [deep]
  expect(show(deep)).toBe('a list of 1')
  expect(show('x'.repeat(1000)).length).toBeLessThan(70)
  expect(show([1, 'a', null])).toBe('[1, "a", null]')
})
