/** A fourth lot of rows that people reported other tools to stumble over: what each is here. Ids and what is learned of them: TRL 1.16's SFTTrainer on the same rows. */
import { describe, expect, it } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import type { Example } from '../../src/data/example.ts'
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import type { Row } from '../../src/data/rows.ts'
import { tokenizerOf } from '../text/fixtures.ts'

const chatml = tokenizerOf('smollm-like')
const llama = tokenizerOf('llama3-like')
const prepared = (rows: readonly Row[], options: PrepareOptions = {}, tokenizer = chatml) => prepare(new Dataset(rows), tokenizer, options)
const learnedOf = ({ ids, targets }: Example, tokenizer = chatml) => tokenizer.decode([...ids].filter((_, i) => targets[i] === 1))
const turn = (role: string, content: string) => ({ role, content })
const talk = [turn('system', 'be kind'), turn('user', 'ask'), turn('assistant', 'yes'), turn('user', 'more'), turn('assistant', 'no')]
const asked = { prompt: [turn('user', 'ask')], completion: [turn('assistant', 'yes')] }

describe('trl 4147: of conversations as prompt and completion, what begins the answer is the prompt’s', () => {
  it.each([
    ['ChatML', chatml, [481, 439, 198, 400, 484, 198, 481, 398, 198, 88, 268, 484, 198], 'yes<|im_end|>\n'],
    ['Llama 3’s', llama, [480, 482, 444, 483, 198, 405, 481, 198, 482, 403, 483, 198, 88, 268, 481], 'yes<|stop|>'],
  ] as const)('%s', async (_, tokenizer, ids, learned) => {
    const { examples, notes } = await prepared([asked], {}, tokenizer)
    expect([...examples[0]!.ids]).toEqual(ids)
    expect(learnedOf(examples[0]!, tokenizer)).toBe(learned)
    // trl 5213, 6105: that a prompt ends in other tokens is said where it does (this Llama 3 asks for a thought), and where it doesn't not
    expect(notes.filter((note) => note.includes('end of the prompt'))).toHaveLength(tokenizer === llama ? 1 : 0)
  })
})

it('trl 5324: completionOnlyLoss takes prompt and completion as they are, and a function beside it is refused by name', async () => {
  const rows = [{ prompt: 'ask ', completion: 'yes' }]
  const { examples } = await prepared(rows, { completionOnlyLoss: true })
  expect([[...examples[0]!.ids], learnedOf(examples[0]!)]).toEqual([[400, 220, 88, 268, 484], 'yes<|im_end|>'])
  const formattingFunc = ({ prompt, completion }: Row) => `${prompt}${completion}`
  await expect(prepared(rows, { completionOnlyLoss: true, formattingFunc })).rejects.toMatchObject({
    code: 'OPTION_INVALID',
    message: expect.stringMatching(/formattingFunc.*completionOnlyLoss/),
  })
})

it('axolotl 1608, 1357, 807: one BOS, each turn ended once, nothing behind the last', async () => {
  const [one, other] = [await prepared([{ messages: talk }], {}, llama), await prepared([{ messages: talk }])]
  expect([...one.examples[0]!.ids]).toEqual([480, 482, 82, 351, 483, 198, 65, 68, 220, 74, 275, 67, 481, 198, 482, 444, 483, 198, 405, 481, 198, 482, 403, 483, 198, 88, 268, 481, 482, 444, 483, 198, 76, 78, 261, 481, 198, 482, 403, 483, 198, 77, 78, 481]) // biome-ignore format: ids
  // the template's <|im_end|> is the tokenizer's EOS too
  expect([...other.examples[0]!.ids]).toEqual([481, 82, 347, 198, 65, 68, 220, 74, 275, 67, 484, 198, 481, 439, 198, 400, 484, 198, 481, 398, 198, 88, 268, 484, 198, 481, 439, 198, 76, 78, 261, 484, 198, 481, 398, 198, 77, 78, 484, 198]) // biome-ignore format: ids
  for (const { examples } of [one, other]) expect(examples[0]!.targets.every((target) => target === 1)).toBe(true)
})

it('unsloth 3041: a long document before a short answer: the answer alone is learned', async () => {
  const text = (key: string) =>
    `<|im_start|>user\n${'a page of it. '.repeat(200)}${key}?<|im_end|>\n<|im_start|>assistant\n{"${key}": 1}<|im_end|>\n`
  const responses = { instructionPart: '<|im_start|>user\n', responsePart: '<|im_start|>assistant\n' }
  const { examples } = await prepared([{ text: text('one') }, { text: text('two') }], { responses })
  // up to the end of the turn, as Unsloth's of 2026.10
  expect(examples.map((example) => learnedOf(example))).toEqual(['{"one": 1}<|im_end|>', '{"two": 1}<|im_end|>'])
})
