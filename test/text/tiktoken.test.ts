/** tiktoken.model, which Moonlight's checkpoints have in place of tokenizer.json: the ids of tiktoken's own rules, here and in a GGUF file. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { describeTokenizer } from '../../src/export/gguf-tokenizer.ts'
import { ggufTokenizer } from '../../src/formats/gguf/tokenizer.ts'
import { headerOf } from '../../src/formats/gguf/write.ts'
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { temporary } from '../formats/fixtures.ts'

/** recorded by tools/oracle/tiktoken_model.py */
const folder = join(import.meta.dirname, '../fixtures/tiktoken')
const { texts, ids } = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as { texts: string[]; ids: number[][] }
const open = (path: string) => new Tokenizer(readTokenizerFiles(path)!, { modelType: 'deepseek_v3' })
const tokenizer = open(folder)

const holds = (found: Tokenizer) => {
  for (const [i, text] of texts.entries()) {
    expect([text, found.encode(text)]).toEqual([text, ids[i]])
    expect(found.decode(ids[i]!)).toBe(text)
  }
}

describe('tiktoken.model', () => {
  it('makes the same ids of every text, special tokens among them, and the texts of the ids', () => {
    holds(tokenizer)
    expect(texts.length).toBeGreaterThan(150)
    expect([tokenizer.bosToken, tokenizer.eosToken, tokenizer.padToken, tokenizer.unkToken]).toEqual([
      '[BOS]',
      '<|im_end|>',
      '[PAD]',
      '[UNK]',
    ])
    expect(tokenizer.applyChatTemplate([{ role: 'user', content: 'x' }], { tokenize: false })).toBe('<|im_user|>x<|im_end|>')
  })

  it('is saved as tokenizer.json, with no name of a class whose code doesn’t lie there', async () => {
    const saved = join(temporary(), 'saved')
    await tokenizer.savePretrained(saved)
    holds(open(saved))
    const config = JSON.parse(readFileSync(join(saved, 'tokenizer_config.json'), 'utf8'))
    expect(config).toMatchObject({ tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '<|im_end|>' })
    expect(config).not.toHaveProperty('auto_map')
  })

  it('in a GGUF file, under llama.cpp’s name kimi-k2, and read from one', () => {
    const entries = describeTokenizer(tokenizer, {
      modelType: 'deepseek_v3',
      vocab: tokenizer.idLimit,
      ends: [],
      whole: false,
      template: null,
    })
    expect(entries['tokenizer.ggml.pre']!.value).toBe('kimi-k2')
    const again = new Tokenizer(ggufTokenizer(headerOf(entries, []), 'model.gguf')!, { modelType: 'deepseek_v3' })
    holds(again)
    expect([again.bosId, again.eosId, again.padId, again.unkId]).toEqual([
      tokenizer.bosId,
      tokenizer.eosId,
      tokenizer.padId,
      tokenizer.unkId,
    ])
  })

  it.each([
    ['a class whose code cuts otherwise', (at) => replace(at, 'tokenizer_config.json', 'TikTokenTokenizer', 'QWenTokenizer'), /names the class "QWenTokenizer".*TikTokenTokenizer \(Moonlight, Kimi\) is known/],
    ['a line that is none', (at) => replace(at, 'tiktoken.model', /^(.*\n.*\n).* /, '$1(/ '), /tiktoken\.model: line 3 is "\(\/ 2", it must be a token in base64 and its rank/],
    ['a rank that is missing', (at) => replace(at, 'tiktoken.model', /\n\S+ 300\n/, '\n'), /line 301 has rank 301, the next one is 300/],
    ['a token that stands there twice', (at) => replace(at, 'tiktoken.model', /(\S+)( 299\n)\S+/, '$1$2$1'), /line 301 has rank 300 and a token that stands there before/],
    ['a byte without a token', (at) => replace(at, 'tiktoken.model', /^\S+/, 'YWJj'), /it has no token for the byte 0x/],
    ['an empty file', (at) => writeFileSync(join(at, 'tiktoken.model'), ''), /it has no token for the byte 0x00/],
  ] as [string, (at: string) => void, RegExp][])('%s: refused by name', (_, change, error) => {
    const at = join(temporary(), 'broken')
    cpSync(folder, at, { recursive: true })
    change(at)
    expect(() => readTokenizerFiles(at)).toThrow(expect.objectContaining({ code: 'FORMAT_TOKENIZER', message: expect.stringMatching(error) }))
  }) // biome-ignore format: a table
})

function replace(at: string, name: string, from: string | RegExp, to: string): void {
  writeFileSync(join(at, name), readFileSync(join(at, name), 'utf8').replace(from, to))
}
