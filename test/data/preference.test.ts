/** Rows of prompt and answers: TRL's token ids (tools/oracle/preference_rows.py), and what can't be read. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { alpacaPrompt } from '../../src/data/alpaca.ts'
import { Dataset } from '../../src/data/dataset.ts'
import { preferenceShape } from '../../src/data/preference.ts'
import { type AnswerOptions, prepareAnswers } from '../../src/data/prepare-answers.ts'
import { takenApart } from '../../src/data/rated.ts'
import type { Row } from '../../src/data/rows.ts'
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { ours, type PreferenceCase, pairs, rated, theirs } from './as-trl.ts'

const root = join(import.meta.dirname, '../fixtures/preference-rows')
const tokenizer = new Tokenizer(readTokenizerFiles(join(root, 'tokenizer'))!)

const cases = JSON.parse(readFileSync(join(root, 'rows.json'), 'utf8')) as PreferenceCase[]
const prepare = (rows: Row[], options: Partial<AnswerOptions> = {}, as = pairs) =>
  prepareAnswers(new Dataset(rows, 'pairs.jsonl'), tokenizer, as, { maxLength: null, truncationMode: 'keep_start', ...options })

const asked = [{ role: 'user', content: 'where?' }]
const told = [{ role: 'assistant', content: 'here' }]

describe.each(['dpo', 'orpo', 'kto'])('as TRL tokenises them for %s', (trainer) => {
  it.each(cases.filter((one) => one.trainer === trainer).map((one) => [one.name, one] as const))('%s', async (_, one) => {
    const expected = theirs(one)
    const made = await ours(one, new Dataset(one.rows, 'pairs.jsonl'), tokenizer)
    // TRL refuses rows of which more than one token of the prompt merges with the answer
    expect(made.filter((_, i) => expected[i])).toEqual(expected.filter((row) => row))
    expect(expected.filter((row) => row).length).toBeGreaterThan(1)
  })
})

describe('rated answers', () => {
  test.each([
    [
      [{ prompt: 'a', completion: 'b' }],
      /has no column label; it has prompt, completion\. A rated answer has prompt and completion, or messages, .*and a label, true where/,
    ],
    [[{ prompt: 'a', complettion: 'b', label: true }], /has no column completion; it has prompt, complettion, label: is it complettion\?/],
    [[{ prompt: 'a', completion: 'b', label: 'good' }], /row 1: label must be true \(a wanted answer\) or false, it is "good"/],
    [[{ messages: [{ role: 'user', content: 'a' }], label: true }], /row 1: the last of its messages is not the assistant’s/],
  ] as [Row[], RegExp][])('what can’t be read: %j', async (rows, message) => {
    await expect(prepare(rows, {}, rated)).rejects.toThrow(message)
  })

  test('labels out of a CSV file, whose cells are texts: as pandas reads them', async () => {
    const labels = ['True', 'false', 'TRUE', '0', '1']
    const { examples } = await prepare(
      labels.map((label) => ({ prompt: 'a', completion: 'b', label })),
      {},
      rated,
    )
    expect(examples.map(({ wanted }) => wanted)).toEqual([true, false, true, false, true])
  })

  test('rows as LLaMA-Factory has them: with kto_tag, of conversations and of Alpaca', async () => {
    const turns = [...asked, ...told].map(({ role, content }) => ({ from: role, value: content }))
    const shareGpt = await prepare([{ system: 'be brief', conversations: turns, kto_tag: false }], {}, rated)
    const system = { role: 'system', content: 'be brief' }
    const same = await prepare([{ prompt: [system, ...asked], completion: told, label: false }], {}, rated)
    expect(shareGpt.examples).toEqual(same.examples)
    expect(shareGpt.notes[0]).toContain('1 rows of a conversation and kto_tag')
    const alpaca = await prepare([{ instruction: 'Count.', input: '3', output: '1 2 3', kto_tag: 'true' }], {}, rated)
    const prompt = alpacaPrompt('Count.', '3')
    expect(alpaca.examples).toEqual((await prepare([{ prompt, completion: '1 2 3', label: true }], {}, rated)).examples)
    await expect(prepare([{ prompt: 'a', completion: 'b', kto_tag: 'x' }], {}, rated)).rejects.toThrow(/kto_tag must be true/)
    await expect(prepare([{ messages: [...asked, ...told], lable: true }], {}, rated)).rejects.toThrow(/has no column label; .*is it lable/)
  })

  test('messages with a label, as LLaMA-Factory has them', async () => {
    const rows = [{ messages: [...asked, ...told], label: true }]
    const { examples } = await prepare(rows, {}, rated)
    const { examples: same } = await prepare([{ prompt: asked, completion: told, label: true }], {}, rated)
    expect(examples[0]).toEqual(same[0])
  })
})

test('messages that are the same but for a key that is null begin both', async () => {
  const rejected = [
    { content: 'where?', role: 'user', name: null },
    { role: 'assistant', content: 'there' },
  ]
  const { examples } = await prepare([{ chosen: [...asked, ...told], rejected }])
  const { examples: same } = await prepare([{ prompt: asked, chosen: told, rejected: rejected.slice(1) }])
  expect(examples).toEqual(same)
})

test.each([
  ['pairs', pairs],
  ['rated', rated],
])('a prompt that is a text beside messages that hold it, as UltraFeedback has it: %s', async (_, as) => {
  const answers = { chosen: [...asked, ...told], rejected: [...asked, { role: 'assistant', content: 'there' }] }
  const apart = (rows: Row[]) => (as === rated ? takenApart(new Dataset(rows, 'pairs.jsonl')).rows.slice() : rows)
  const { examples } = await prepare(apart([{ prompt: 'where?', ...answers }]), {}, as)
  const { examples: same } = await prepare(apart([answers]), {}, as)
  expect(examples).toEqual(same)
  const alone = { prompt: 'where?', chosen: told, rejected: [{ role: 'assistant', content: 'there' }] }
  expect(() => preferenceShape(new Dataset([alone], 'pairs.jsonl')).read(alone, 'row 1')).toThrow(
    /row 1: prompt is a text, and chosen is made of messages: write both alike, or put it/,
  )
})

test('an instruction with one answer each, as LLaMA-Factory has it', async () => {
  const told = { chosen: 'here', rejected: 'there' }
  const { examples, notes } = await prepare([{ instruction: 'where?', input: 'the ship', ...told }])
  const { examples: same } = await prepare([{ prompt: alpacaPrompt('where?', 'the ship'), ...told }])
  expect(examples).toEqual(same)
  expect(notes[0]).toMatch(/1 rows of instruction, input, chosen and rejected \(Alpaca\)$/)
  const apart = takenApart(new Dataset([{ instruction: 'where?', input: 'the ship', source: 'x', ...told }], 'pairs.jsonl'))
  expect(apart.columns.toSorted()).toEqual(['completion', 'label', 'prompt', 'source'])
})

test('a question under another name is not left out', async () => {
  const row = { question: 'where?', chosen: 'the ship', rejected: 'the river' }
  await expect(prepare([row])).rejects.toThrow(
    /row 1: there is no column prompt, .* does not hold what stands in question: rename question/,
  )
  const whole = { chosen: 'where? the ship', rejected: 'where? the river' }
  const { examples } = await prepare([{ question: 'where?', ...whole }])
  expect(examples).toEqual((await prepare([whole])).examples)
})

test('a conversation with one answer each, as LLaMA-Factory has it', async () => {
  const row = {
    conversations: [{ from: 'human', value: 'where?' }],
    chosen: { from: 'gpt', value: 'here' },
    rejected: { from: 'gpt', value: 'there' },
  }
  const { examples, notes } = await prepare([row])
  const { examples: same } = await prepare([{ prompt: asked, chosen: told, rejected: [{ role: 'assistant', content: 'there' }] }])
  expect(examples[0]!.ids).toEqual(same[0]!.ids)
  expect(notes[0]).toMatch(/1 rows of a conversation, chosen and rejected/)
})

test('a prompt that fills the limit leaves its row out, by name', async () => {
  const rows = [
    { prompt: 'the ship '.repeat(20), chosen: 'a', rejected: 'b' },
    { prompt: 'the ', chosen: 'a', rejected: 'b' },
  ]
  const { examples, unused } = await prepare(rows, { maxLength: 20 })
  expect(examples.length).toBe(1)
  expect(unused).toEqual([expect.stringMatching(/pairs\.jsonl, row 1: its prompt alone, \d+ tokens, fills the limit of 20/)])
  await expect(prepare(rows.slice(0, 1), { maxLength: 20 })).rejects.toThrow(/no row is left\. pairs\.jsonl, row 1: .* Raise maxLength/)
})

test('pairs of one answer twice are counted', async () => {
  const alike = { prompt: 'the ', chosen: 'ship', rejected: 'ship' }
  const { examples, warnings } = await prepare([alike, { ...alike, rejected: 'sea' }])
  expect(examples.length).toBe(2)
  expect(warnings).toEqual(['1 pair has the same tokens chosen and rejected, so nothing is learned from it: pairs.jsonl, row 1'])
  await expect(prepare([alike, alike])).rejects.toThrow(/chosen and rejected are the same in every row/)
})

describe('what can’t be read', () => {
  test.each([
    [[{ prompt: 'a', choosen: 'b', rejected: 'c' }], /has no column chosen; it has prompt, choosen, rejected: is it choosen\? Rename it/],
    [
      [{ prompt: 'a', chosen: 'b' }],
      /has no column rejected; it has prompt, chosen\. A pair has chosen, rejected and what is asked: prompt/,
    ],
    [
      [{ instruction: 'a', input: '', output: 'b' }],
      /output\. Rows of one answer each are for saqr sft \(SFTTrainer\)\. A pair has chosen/,
    ],
    [[{ prompt: 'a', completion: 'b', label: true }], /label\. Rows of rated answers are for saqr kto \(KTOTrainer\)\. A pair has/],
    [[{ prompt: 'a', chosen: 'b', rejected: 3 }], /row 1: rejected must be a text, it is 3/],
    [[{ prompt: 'a', chosen: told, rejected: told }], /row 1: prompt is a text, and chosen is made of messages: write both alike/],
    [[{ prompt: asked, chosen: 'b', rejected: 'c' }], /row 1: chosen is a text, and the prompt is made of messages/],
    [[{ prompt: asked, chosen: told, rejected: [] }], /row 1: rejected must be a list of messages/],
    [[{ chosen: 'b', rejected: '' }], /row 1: rejected is empty/],
    [
      [
        { prompt: 'a', chosen: 'b', rejected: 'c' },
        { chosen: 'b', rejected: 'c' },
      ],
      /row 2: prompt must be a text, it is missing/,
    ],
    [[{ prompt: 'a', chosen: 'b', rejected: 'c', image: 'x.png' }], /the column image holds what the model would see/],
    [[], /pairs.jsonl has no rows/],
  ] as [Row[], RegExp][])('%j', async (rows, message) => {
    await expect(prepare(rows)).rejects.toThrow(message)
  })
})
