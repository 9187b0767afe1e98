/** Tokenizers of GGUF files written again: read back, they cut every text alike. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nameFor } from '../../src/export/gguf-name.ts'
import { templateNotes } from '../../src/export/gguf-templates.ts'
import { describeTokenizer } from '../../src/export/gguf-tokenizer.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { mergesOf } from '../../src/formats/gguf/sentencepiece.ts'
import { ggufTokenizer } from '../../src/formats/gguf/tokenizer.ts'
import { headerBytes, headerOf } from '../../src/formats/gguf/write.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { fixture } from '../formats/fixtures.ts'

const TEXTS = ['The falcon dives at 300 km/h.', '  two  spaces\n\n\tand a tab', "I'll WE'RE 1234567", 'الصقر، 你好 🦅 naïve', '']

it.each(['gpt-2', 'gpt-4o', 'llama-bpe', 'qwen2', 'smaug-bpe', 'smollm', 'spm', 'tekken'])('%s', (name) => {
  const path = fixture(`tokenizer-${name}.gguf`)
  const given = new Tokenizer(ggufTokenizer(readGguf(path), path)!)
  const wish = { modelType: 'llama', vocab: given.idLimit + 3, ends: [], whole: false, template: null }
  const entries = describeTokenizer(given, wish)
  const again = new Tokenizer(ggufTokenizer(headerOf(entries, []), join(path, 'again'))!)
  for (const text of TEXTS) expect([text, again.encode(text)]).toEqual([text, given.encode(text)])
  expect([again.bosId, again.eosId, again.unkId, again.padId]).toEqual([given.bosId, given.eosId, given.unkId, given.padId])
  expect(again.chatTemplate).toBe(given.chatTemplate)
  expect(() => describeTokenizer(given, { ...wish, vocab: given.idLimit - 1 })).toThrow(/needs a row for each token/)
})

// type 2 made llama.cpp say "control-looking token: 0 '<|endoftext|>' was not control-type; this is probably a bug in the model"; SmolLM2's own file has 3
it.each([
  ['smollm', '<|endoftext|>', 3],
  ['spm', '<unk>', 2],
])('%s: the token for what is unknown, %s, has type %i', (name, unkToken, type) => {
  const path = fixture(`tokenizer-${name}.gguf`)
  const files = ggufTokenizer(readGguf(path), path)!
  const given = new Tokenizer({ ...files, tokenizerConfig: { ...(files.tokenizerConfig as object), unk_token: unkToken } })
  const entries = describeTokenizer(given, { modelType: 'llama', vocab: given.idLimit, ends: [], whole: false, template: null })
  const { value } = entries['tokenizer.ggml.token_type'] as { value: readonly number[] }
  expect([given.unkId, value[given.unkId!]]).toEqual([given.idOf(unkToken), type])
  expect(new Tokenizer(ggufTokenizer(headerOf(entries, []), join(path, 'again'))!).unkId).toBe(given.unkId)
})

it('templates are written without the blocks that only training asks of, which most readers of GGUF don’t know', () => {
  const path = fixture('tokenizer-smollm.gguf')
  const files = ggufTokenizer(readGguf(path), path)!
  const of = (tag: string, end: string) => `{% for m in messages %}{% ${tag} %}{{ m.content }}{% ${end} %}{% endfor %}`
  const source = of('generation', 'endgeneration')
  const given = new Tokenizer({ ...files, chatTemplate: source, chatTemplates: { rag: source } })
  const entries = describeTokenizer(given, { modelType: 'llama', vocab: given.idLimit, ends: [], whole: false, template: null })
  const again = ggufTokenizer(headerOf(entries, []), join(path, 'again'))!
  expect([again.chatTemplate, again.chatTemplates]).toEqual([of('if true', 'endif'), { rag: of('if true', 'endif') }])
  expect(templateNotes(given, null)).toEqual([])
  const row = [{ role: 'assistant', content: 'a' }]
  expect(given.applyChatTemplateWithMask(row).mask).toContain(1)
  expect(() => new Tokenizer(again).applyChatTemplateWithMask(row)).toThrow(/does not say what the assistant wrote/)
})

it('one that can’t be said without them, or that saqr can’t read, is written as it is, and told by name', () => {
  const path = fixture('tokenizer-smollm.gguf')
  const chatTemplate = '{% generation %}{% set a = 1 %}{% endgeneration %}{{ a }}'
  const rag = "{% import 'x' as y %}{% generation %}{{ y }}{% endgeneration %}"
  const given = new Tokenizer({
    ...ggufTokenizer(readGguf(path), path)!,
    chatTemplate,
    chatTemplates: { rag, other: "{% import 'x' as y %}" },
  })
  const entries = describeTokenizer(given, { modelType: 'llama', vocab: given.idLimit, ends: [], whole: false, template: '{{ 1 }}' })
  const again = ggufTokenizer(headerOf(entries, []), join(path, 'again'))!
  expect(again.chatTemplates).toEqual({ rag, other: "{% import 'x' as y %}", base: chatTemplate })
  expect(templateNotes(given, '{{ 1 }}')).toEqual([
    expect.stringMatching(/^tokenizer\.chat_template\.rag keeps its {% generation %} blocks.*can’t read the template: .*import/),
    expect.stringMatching(/^tokenizer\.chat_template\.base keeps .*read after them \(a\)$/),
  ])
})

// tried in llama.cpp (build 11434): <|user|>, a newline, Hi was cut with two tokens more of a file called out; one called phi3 without <unk> was not opened at all
it('what llama.cpp does by a name is what the tokenizer does: Phi 3’s special tokens swallow white space, by no key but the name', () => {
  const path = fixture('tokenizer-spm.gguf')
  const files = ggufTokenizer(readGguf(path), path)!
  const own = new Tokenizer(files)
  const plain = { special: true, normalized: false, lstrip: false, rstrip: false }
  const withTokens = (...all: { content: string; rstrip?: boolean; lstrip?: boolean }[]) => {
    const tokenizer = new Tokenizer(files)
    tokenizer.addTokens(all.map((token) => ({ ...plain, ...token })))
    return tokenizer
  }
  const [end, user, said] = [{ content: '<|endoftext|>' }, { content: '<|user|>', rstrip: true }, { content: '<|end|>', rstrip: true }]
  const phi = withTokens(end, user, said)
  expect(nameFor('out.F16', phi)).toEqual({ name: 'out.F16 (Phi-3)', otherwise: ['</s>'] })
  expect(nameFor('my-Phi3-mini.F16', phi)).toEqual({ name: 'my-Phi3-mini.F16', otherwise: ['</s>'] })
  const more = { content: '<|assistant|>', rstrip: true }
  expect(nameFor('out', withTokens(end, user, said, more, { content: '<call>' })).otherwise).toEqual(['</s>', '<call>'])
  // a name of which nothing may follow
  expect(nameFor('phi-3-as-qwen', own)).toEqual({ name: 'Phi 3-as-qwen', otherwise: [] })
  expect(nameFor('phi3', withTokens(user))).toEqual({ name: 'Phi 3', otherwise: ['<|user|>'] })
  expect(nameFor('out', withTokens(end, user, { ...said, lstrip: true }, { content: '<a>' }))).toEqual({
    name: 'out',
    otherwise: ['<|user|>', '<|end|>'],
  })
})

it('a vocabulary of the size that models have is written', () => {
  const value = Array.from({ length: 400_000 }, (_, i) => `a${i}`)
  const bytes = Buffer.from(headerBytes({ 'tokenizer.ggml.merges': { kind: 'strings', value } }, []))
  expect(bytes.includes('a399999')).toBe(true)
  expect(bytes.length).toBeGreaterThan(8 * value.length)
})

it('tokens of one score, whose merges lie between one another’s, have one score again', () => {
  const path = fixture('tokenizer-spm.gguf')
  const { files } = new Tokenizer(ggufTokenizer(readGguf(path), path)!)
  const json = files.tokenizerJson as { model: { vocab: Record<string, number>; merges: unknown } }
  const tokens = Object.keys(json.model.vocab)
  const made = (scores: number[]) => {
    const merges = mergesOf(tokens, scores)
    const given = new Tokenizer({ ...files, tokenizerJson: { ...json, model: { ...json.model, merges } } })
    const entries = describeTokenizer(given, { modelType: 'llama', vocab: given.idLimit, ends: [], whole: false, template: null })
    const again = new Tokenizer(ggufTokenizer(headerOf(entries, []), join(path, 'again'))!)
    for (const text of TEXTS) expect([text, again.encode(text)]).toEqual([text, given.encode(text)])
    const { value } = entries['tokenizer.ggml.scores'] as { value: readonly number[] }
    return { scores: new Set(value).size, merged: new Set(merges.map((pair) => pair.join(''))).size }
  }
  for (const scores of [tokens.map(() => 0), tokens.map((_, i) => -Math.floor(i / 50))]) {
    const found = made(scores)
    expect(found.scores).toBeLessThan(found.merged) // each its own would put another order in their place
  }
})
