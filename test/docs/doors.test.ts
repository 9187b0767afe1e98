/** docs/doors.md: each door is proven by a test that there is, under the name that it has. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { titlesOf } from './titles.ts'

const docs = join(import.meta.dirname, '../../docs')
const rows = readFileSync(join(docs, 'doors.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| (?!file|place|tracker|tool|---)/.test(line))

describe.each(rows.map((line) => [line.split(' | ')[0]!.slice(2), line]))('%s', (_, line) => {
  it('is proven', () => {
    const proofs = [
      ...line
        .split(' | ')
        .at(-1)!
        .matchAll(/\[((?:[^[\]]|\[[^\]]*\])+)\]\((\.\.\/test\/[^)]+)\)/g),
    ]
    expect(proofs.length, line).toBeGreaterThan(0)
    for (const [, title, target] of proofs) {
      const file = join(docs, target!)
      expect(existsSync(file), target).toBe(true)
      expect([...titlesOf(file)], target).toContain(title)
    }
  })
})

it('there are doors', () => expect(rows.length).toBeGreaterThan(30))
