/** Answers found by what stands around them: tokens are bytes here, so that a text shows what is learned. */
import { describe, expect, it } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import { prepare } from '../../src/data/prepare.ts'
import { type ResponseParts, responsesOf } from '../../src/data/responses.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { byteTokenizer } from '../cli/tiny-model.ts'
import { tokenizerOf } from '../text/fixtures.ts'

const json = byteTokenizer()
for (const [i, content] of ['<|im_start|>', '<|im_end|>'].entries()) {
  json.added_tokens.push({ ...json.added_tokens[0]!, id: 259 + i, content })
  json.model.vocab[content] = 259 + i
}
const tokenizer = new Tokenizer({ tokenizerJson: json, tokenizerConfig: { eos_token: '<|im_end|>', bos_token: '<s>' } } as never)
const CHATML: ResponseParts = { instructionPart: '<|im_start|>user\n', responsePart: '<|im_start|>assistant\n' }
const PLAIN: ResponseParts = { instructionPart: 'Q:', responsePart: 'A:' }

/** the text with what is learned in brackets */
function marked(text: string, parts: ResponseParts): string {
  const ids = tokenizer.encode(text)
  const learned = responsesOf(tokenizer, parts)(ids)
  return ids
    .map((id, i) => {
      const begins = learned[i] === 1 && learned[i - 1] !== 1
      const ends = learned[i] === 1 && learned[i + 1] !== 1
      return `${begins ? '[' : ''}${tokenizer.decode([id])}${ends ? ']' : ''}`
    })
    .join('')
}

describe('what is learned', () => {
  it.each([
    // up to the end of the turn, which is learned; the line break behind it is not
    [
      '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n',
      '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n[yes<|im_end|>]\n',
    ],
    // every answer; an answer without its end goes to the next turn, whoever's it is
    [
      '<|im_start|>assistant\na<|im_start|>tool\nb<|im_start|>assistant\nc<|im_end|>',
      '<|im_start|>assistant\n[a]<|im_start|>tool\nb<|im_start|>assistant\n[c<|im_end|>]',
    ],
    // an answer right behind a question's mark, and one without a word
    ['<|im_start|>user\n<|im_start|>assistant\nb', '<|im_start|>user\n<|im_start|>assistant\n[b]'],
    ['<|im_start|>assistant\n', '<|im_start|>assistant\n'],
    // another text begins
    ['<|im_start|>assistant\na<s>b', '<|im_start|>assistant\n[a]<s>b'],
    ['no mark at all', 'no mark at all'],
  ])('%j', (text, expected) => expect(marked(text, CHATML)).toBe(expected))

  it.each([
    // where the parts begin with no special token, answers end at questions alone
    ['Q:one A:two Q:three A:four', 'Q:one A:[two ]Q:three A:[four]'],
    ['A:one A:two', 'A:[one ]A:[two]'],
    ['A:one<|im_end|> more Q:', 'A:[one<|im_end|>] more Q:'],
  ])('%j', (text, expected) => expect(marked(text, PLAIN)).toBe(expected))
})

describe('white space beside a part that is one token with its own', () => {
  // Llama 3's and Qwen's tokenizers have \n\n in one token: unslothai/unsloth#1017, #2771
  const STOP = { instructionPart: '<|header|>user\n', responsePart: '<|header|>assistant\n' }
  const HASH = { instructionPart: '\n### Q:\n', responsePart: '\n### A:\n' }
  it.each([
    ['llama3-like', '<|header|>user\nhi<|stop|><|header|>assistant\n\nyes<|stop|>', STOP, 'yes<|stop|>'],
    ['llama3-like', '<|header|>assistant\nyes<|stop|><|header|>user\n\nhi<|stop|><|header|>assistant\n\n\nno<|stop|>', STOP, 'yes<|stop|>\nno<|stop|>'],
    ['llama3-like', '\n### Q:\nhi\n\n### A:\nyes\n\n### Q:\nwhy\n### A:\n\nso', HASH, 'yesso'],
    // words beside a part are none of it
    ['llama3-like', 'UA:yes', { instructionPart: 'Q:', responsePart: 'A:' }, 'yes'],
  ])('%s: %j', (name, text, parts, learned) => {
    const tokenizer = tokenizerOf(name)
    const ids = tokenizer.encode(text, { addSpecialTokens: false })
    const marks = responsesOf(tokenizer, parts)(ids)
    expect(tokenizer.decode(ids.filter((_, i) => marks[i] === 1))).toBe(learned)
  }) // biome-ignore format: rows
})

describe('as an option of rows', () => {
  const learnedOf = async (rows: object[], options: Parameters<typeof prepare>[2]) => {
    const { examples, unused } = await prepare(new Dataset(rows as never), tokenizer, options)
    const texts = examples.map(({ ids, targets }) => tokenizer.decode([...ids].filter((_, i) => targets[i] === 1)))
    return { texts, unused }
  }

  it('takes rows of every kind, and leaves out those without an answer', async () => {
    const text = [{ text: 'Q:a A:b' }, { text: 'Q:c' }]
    expect(await learnedOf(text, { responses: PLAIN })).toEqual({ texts: ['b<|im_end|>'], unused: ['rows, row 2: no answer follows "A:"'] })
    const pairs = [{ prompt: 'Q:a ', completion: 'thus A:b' }]
    expect((await learnedOf(pairs, { responses: PLAIN })).texts).toEqual(['b<|im_end|>'])
    // what labels leave out stays so
    const ids = tokenizer.encode('A:bc')
    const tokens = [{ input_ids: ids, labels: ids.map((id, i) => (i === ids.length - 1 ? -100 : id)) }]
    expect((await learnedOf(tokens, { responses: PLAIN })).texts).toEqual(['b'])
  })

  it('is found before rows are cut', async () => {
    const rows = [{ text: 'Q:long question A:answer' }]
    expect((await learnedOf(rows, { responses: PLAIN, maxLength: 5, truncationMode: 'keep_end' })).texts).toEqual(['swer<|im_end|>'])
  })

  it('says what is wrong', async () => {
    const rows = new Dataset([{ text: 'Q:a A:b' }])
    const error = async (options: Parameters<typeof prepare>[2]) =>
      String(await prepare(rows, tokenizer, options).catch((e: Error) => e.message))
    expect(await error({ responses: PLAIN, assistantOnlyLoss: true })).toBe(
      'responsePart and assistantOnlyLoss each say what is learned: keep one of them',
    )
    expect(await error({ responses: PLAIN, completionOnlyLoss: true })).toContain('completionOnlyLoss')
    expect(await error({ responses: { ...PLAIN, responsePart: 'A:\\n' } })).toContain(
      'responsePart, which must stand in the rows token by token; a backslash and an n are no line break',
    )
    expect(await error({ responses: { ...PLAIN, responsePart: 'Q:' } })).toContain('are the same')
    expect(await error({ responses: { ...PLAIN, responsePart: '' } })).toContain('responsePart "" has no token')
  })
})
