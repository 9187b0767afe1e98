/** More rows that people reported other tools to stumble over, pairs and rated answers too: what each is here. Named by the project and the number of its issue. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { Dataset, loadDataset } from '../../src/data/dataset.ts'
import type { Example } from '../../src/data/example.ts'
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import { type AnswerOptions, prepareAnswers } from '../../src/data/prepare-answers.ts'
import type { Row } from '../../src/data/rows.ts'
import { tokenizerOf } from '../text/fixtures.ts'
import { pairs, rated } from './as-trl.ts'

const work = mkdtempSync(join(tmpdir(), 'saqr-more-reports-'))
afterAll(() => rmSync(work, { recursive: true }))
const file = (name: string, text: string) => {
  const path = join(work, name)
  writeFileSync(path, text)
  return path
}
const chatml = tokenizerOf('smollm-like')
const llama = tokenizerOf('llama3-like')
const prepared = (rows: readonly Row[], options: PrepareOptions = {}, tokenizer = chatml) => prepare(new Dataset(rows), tokenizer, options)
const answered = (rows: readonly Row[], options: Partial<AnswerOptions> = {}, tokenizer = chatml) =>
  prepareAnswers(new Dataset(rows), tokenizer, pairs, { maxLength: null, truncationMode: 'keep_start', ...options })
const learnedOf = ({ ids, targets }: Example, tokenizer = chatml) => tokenizer.decode([...ids].filter((_, i) => targets[i] === 1))
/** a pair's sequences: how many tokens ask, and all of them */
const sequencesOf = ({ ids, starts, prompts }: Example) =>
  prompts!.map((prompt, i) => ({ prompt, ids: [...ids.subarray(starts![i], starts![i + 1] ?? ids.length)] }))

const turn = (role: string, content: string) => ({ role, content })
const said = (from: string, value: string) => ({ from, value })

it('trl 3728: what the assistant says is all that is learned of packed rows too', async () => {
  const rows = ['one', 'two two', 'three'].map((text) => ({ messages: [turn('user', `say ${text}`), turn('assistant', text)] }))
  const alone = await prepared(rows, { assistantOnlyLoss: true })
  const packed = await prepared(rows, { assistantOnlyLoss: true, packing: true, packingStrategy: 'bfd', maxLength: 200 })
  const words = alone.examples.map((example) => learnedOf(example))
  expect(words.map((text) => text.includes('say'))).toEqual([false, false, false])
  expect(packed.examples).toHaveLength(1)
  // packs have the longest first
  expect([...learnedOf(packed.examples[0]!).split('<|im_end|>')].sort()).toEqual([...words.join('').split('<|im_end|>')].sort())
})

it('trl 4908: an answer of a conversation ends as its template ends it, and with no other token', async () => {
  const row = { prompt: [turn('user', 'ask')], chosen: [turn('assistant', 'yes')], rejected: [turn('assistant', 'no')] }
  const { examples } = await answered([row])
  const texts = sequencesOf(examples[0]!).map(({ ids, prompt }) => chatml.decode(ids.slice(prompt)))
  expect(texts).toEqual(['yes<|im_end|>\n', 'no<|im_end|>\n'])
})

it('axolotl 1616: the token that begins a text stands before the prompt alone', async () => {
  const texts = { prompt: 'ask ', chosen: 'yes', rejected: 'no' }
  const turns = { prompt: [turn('user', 'ask')], chosen: [turn('assistant', 'yes')], rejected: [turn('assistant', 'no')] }
  for (const row of [texts, turns]) {
    const { examples } = await answered([row], {}, llama)
    for (const { ids } of sequencesOf(examples[0]!)) expect(ids.filter((id) => id === llama.bosId)).toHaveLength(1)
  }
})

it('trl 3382, 6548: an answer that is cut, by itself or beside a longer one, keeps what the limit leaves of it', async () => {
  const row = { prompt: 'a b', chosen: ` ${'long '.repeat(40)}`, rejected: ' no' }
  const whole = sequencesOf((await answered([row])).examples[0]!)
  for (const truncationMode of ['keep_start', 'keep_end'] as const) {
    const cut = sequencesOf((await answered([row], { maxLength: 10, truncationMode })).examples[0]!)
    expect(cut.map(({ ids }) => ids)).toEqual(whole.map(({ ids }) => (truncationMode === 'keep_start' ? ids.slice(0, 10) : ids.slice(-10))))
    for (const { ids, prompt } of cut) expect(ids.length).toBeGreaterThan(prompt)
  }
})

it('ms-swift 4535: rated answers that all say the same, beside which another row’s is the same', async () => {
  const rows = [true, false, true].map((label, i) => ({ prompt: `q${i} `, completion: 'A', label }))
  const made = await prepareAnswers(new Dataset(rows), chatml, rated, { maxLength: null, truncationMode: 'keep_start', neighbours: 2 })
  expect(made.examples.map(({ wanted, prompts }) => [wanted, prompts!.length])).toEqual([
    [true, 2],
    [false, 2],
    [true, 2],
  ])
})

it('datasets 4467: a text null, None or NA of a table is that text', async () => {
  const path = file('null.csv', 'prompt,completion\nzero,null\nnobody,None\nwhere,NA\n')
  for (const streaming of [false, true]) {
    const { rows } = await loadDataset(path, { streaming })
    expect(rows.map(({ completion }) => completion)).toEqual(['null', 'None', 'NA'])
  }
})

it('axolotl 1945, trl 2861: rows that are tokens already, with the labels that trainers of Hugging Face take', async () => {
  const row = { input_ids: [5, 6, 7, 8], attention_mask: [1, 1, 1, 1], labels: [-100, -100, 7, 8] }
  const { examples } = await prepared([row])
  expect(examples.map(({ ids, targets }) => [[...ids], [...targets]])).toEqual([[row.input_ids, [0, 0, 1, 1]]])
  // labels shifted to the next token are another convention
  await expect(prepared([{ ...row, labels: [-100, 7, 8, -100] }])).rejects.toThrow(/row 1: labels\[1\] is 7 where input_ids has 6/)
})

it('unsloth 2117, 2095: parts that stand in no row are an error before the first step that says where to look', async () => {
  const rows = [{ messages: [turn('user', 'ask'), turn('assistant', 'yes')] }]
  await expect(prepared(rows, { responses: { instructionPart: 'user\n', responsePart: 'model\n' } })).rejects.toMatchObject({
    code: 'DATA_NO_TARGETS',
    message: expect.stringMatching(
      /no answer follows "model\\n".*instructionPart and responsePart, which must stand in the rows token by token/,
    ),
  })
})

it('LlamaFactory 9197, 7356: what is said before a call, and calls one after another', async () => {
  const call = JSON.stringify({ name: 'find', arguments: { what: 'ship' } })
  const conversations = [said('human', 'where?'), said('gpt', 'I look'), said('function_call', call), said('observation', 'sea'), said('function_call', call), said('observation', 'hill'), said('gpt', 'there')] // biome-ignore format: a row
  const tool = { type: 'function', function: { name: 'find', arguments: { what: 'ship' } } }
  const messages = [
    turn('user', 'where?'),
    turn('assistant', 'I look'),
    { role: 'assistant', tool_calls: [tool] },
    turn('tool', 'sea'),
    { role: 'assistant', tool_calls: [tool] },
    turn('tool', 'hill'),
    turn('assistant', 'there'),
  ]
  const chatTemplate = '{% for m in messages %}[{{ m.role }}|{{ m.content }}|{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments.what }}{% endfor %}]{% endfor %}' // biome-ignore format: a template
  const tokenizer = tokenizerOf('smollm-like', { chatTemplate })
  const ids = async (row: Row) => [...(await prepared([row], {}, tokenizer)).examples[0]!.ids]
  expect(tokenizer.decode(await ids({ conversations }))).toContain('[assistant|I look|]')
  expect(await ids({ conversations })).toEqual(await ids({ messages }))
})

it('LlamaFactory 4683, axolotl 222: Alpaca’s rows with a system prompt or what was said before are not read without it in silence', async () => {
  const row = { instruction: 'go on', input: '', output: 'yes' }
  const { warnings } = await prepared([{ ...row, system: 'be brief', history: [['hi', 'ho']] }])
  expect(warnings.map(String)).toEqual([
    expect.stringMatching(/column system is not read/),
    expect.stringMatching(/column history is not read/),
  ])
})
