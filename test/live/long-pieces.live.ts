/** A text without a space is one piece, however long: the ids of the tokenizers library, in time that grows as the text does. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { filesOf, kinds } from '../text/fixtures.ts'
import { oracle } from './oracle.ts'

const LENGTH = 300_000
const files = new Map(kinds.map((kind) => [join(import.meta.dirname, `../fixtures/data/tokenizers/${kind}/tokenizer.json`), kind]))
const folder = await oracle('long_pieces', String(LENGTH), ...files.keys())
const said = JSON.parse(readFileSync(join(folder, 'ids.json'), 'utf8')) as Record<
  string,
  Record<string, { ids: number; sha256: string; seconds: number }>
>

function* numbers(seed: number): Generator<number, never> {
  let at = BigInt(seed)
  for (;;) {
    at = (at * 1103515245n + 12345n) & 0x7fffffffn
    yield Number(at >> 8n)
  }
}

function drawn(of: readonly string[], n = LENGTH): string {
  const draw = numbers(5)
  return Array.from({ length: n }, () => of[draw.next().value % of.length]).join('')
}

const texts: Record<string, string> = {
  letters: drawn([...'abcdefghijklmnopqrstuvwxyz']),
  'one letter': 'a'.repeat(LENGTH),
  syllables: drawn(['the', 'ing', 'er', 'on', 'at', 'an']),
  signs: drawn([...'=-#*/']),
  spaces: ' '.repeat(LENGTH),
  han: drawn(Array.from({ length: 3000 }, (_, i) => String.fromCharCode(0x4e00 + i))),
  others: drawn([...'aé👍\u0301ß語']),
}

describe.each([...files])('%s', (path, kind) => {
  // as the file alone says, without what transformers makes of a configuration
  const tokenizer = new Tokenizer({ ...filesOf(kind), tokenizerConfig: {} })
  it.each(Object.keys(texts))('%s', (name) => {
    const ids = Int32Array.from(tokenizer.encode(texts[name]!, { addSpecialTokens: false }))
    expect({ ids: ids.length, sha256: createHash('sha256').update(ids).digest('hex') }).toEqual({
      ids: said[path]![name]!.ids,
      sha256: said[path]![name]!.sha256,
    })
  })
})
