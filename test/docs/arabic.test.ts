/** README.ar.md keeps step with README.md: section by section the same commands, names, links and figures. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const read = (name: string) => readFileSync(join(import.meta.dirname, '../..', name), 'utf8')
const sections = (page: string) => page.split(/^## /m)
const english = sections(read('README.md'))
const arabic = sections(read('README.ar.md'))
const outside = (text: string) => text.replace(/^```[\s\S]*?^```$/gm, '')

const parts = {
  /** what a reader types, without what is said about it; of the tree the folders */
  code: (text: string) =>
    [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, code]) =>
      code!
        .split('\n')
        .map((line) => (/^(src\/| {2}\w+\/|native\/)/.test(line) ? line.trim().split(/\s/)[0] : line.replace(/\s+(#|\/\/) .*$/, ''))),
    ),
  names: (text: string) => [...new Set([...outside(text).matchAll(/`([^`]+)`/g)].map(([, code]) => code!.replace(/\s+/g, ' ')))].sort(),
  links: (text: string) => [...new Set([...text.matchAll(/\]\(([^)]+)\)/g)].map(([, to]) => to!.replace(/^README.*/, '')))].sort(),
  /** of two digits and more, in the text too */
  numbers: (text: string) => [...new Set(outside(text).match(/(?<![\w-])\d+(?:[,.]\d+)+|(?<![\w.,-])\d{2,}/g) ?? [])].sort(),
  figures: (text: string) =>
    outside(text)
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .map((line) => line.match(/\d+(?:[,.×]\d+)*×?/g) ?? []),
}

it('has its sections', () => expect(arabic.length).toBe(english.length))

describe.each(english.map((text, i) => [text.split('\n')[0]!, i] as const))('%s', (_, i) => {
  it.each(Object.keys(parts) as (keyof typeof parts)[])('%s', (part) => {
    expect(parts[part](arabic[i]!)).toEqual(parts[part](english[i]!))
  })
})
