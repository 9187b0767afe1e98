/** Tokens added by calls after one another, held against what tokenizers and transformers made of them (tools/oracle/extended.py). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.ts'
import { Tokenizer, type TokenToAdd } from '../../src/text/tokenizer.ts'

type Written = string | ({ content: string } & Record<string, unknown>)
interface Case {
  steps: { add?: Written[]; special?: boolean; named?: Record<string, string | string[]>; returns: number }[]
  added: object[]
  length: number
  special: Record<string, string>
  ids: Record<string, number[]>
}

const camel = (key: string) => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
const camelKeys = (object: object) => Object.fromEntries(Object.entries(object).map(([key, value]) => [camel(key), value]))

/** What differs, in words; and how many things were compared. */
export function heldAgainst(folder: string): { wrong: string[]; compared: number } {
  const cases = JSON.parse(readFileSync(join(folder, 'calls.json'), 'utf8')) as Case[]
  const wrong: string[] = []
  let compared = 0
  const same = (what: string, ours: unknown, theirs: unknown) => {
    compared++
    const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs)]
    if (a !== b) wrong.push(`${what}: ${a}, not ${b}`)
  }
  for (const [i, { steps, added, length, special, ids }] of cases.entries()) {
    const tokenizer = new Tokenizer(readTokenizerFiles(join(folder, 'tied-full'))!)
    for (const [k, { add, special, named, returns }] of steps.entries()) {
      const count = named
        ? tokenizer.addSpecialTokens(camelKeys(named))
        : tokenizer.addTokens(
            add!.map((t) => (typeof t === 'string' ? t : (camelKeys(t) as unknown as TokenToAdd))),
            { special: special! },
          )
      same(`case ${i}, call ${k}`, count, returns)
    }
    // also as it is read again
    for (const [how, one] of Object.entries({ added: tokenizer, 'read again': new Tokenizer(tokenizer.files) })) {
      same(`case ${i} ${how}: size`, one.size, length)
      same(`case ${i} ${how}: special`, sorted(one.special), sorted(special))
      const list = one.addedTokens.map((t) => sorted(t)).sort((a, b) => (a.id as number) - (b.id as number))
      same(`case ${i} ${how}: tokens`, list, added.map(sorted))
      for (const [text, expected] of Object.entries(ids))
        same(`case ${i} ${how}: ${text}`, one.encode(text, { addSpecialTokens: false }), expected)
    }
  }
  return { wrong, compared }
}

const sorted = (object: object): Record<string, unknown> => Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)))
