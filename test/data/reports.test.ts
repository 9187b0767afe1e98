/** Rows that people reported other tools to stumble over: what each is here. Named by the project and the number of its issue. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { Dataset, loadDataset } from '../../src/data/dataset.ts'
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import type { Row } from '../../src/data/rows.ts'
import { tokenizerOf } from '../text/fixtures.ts'

const work = mkdtempSync(join(tmpdir(), 'saqr-reports-'))
afterAll(() => rmSync(work, { recursive: true }))
const file = (name: string, text: string) => {
  const path = join(work, name)
  writeFileSync(path, text)
  return path
}
const tokenizer = tokenizerOf('smollm-like')
const prepared = (rows: readonly Row[], options: PrepareOptions = {}) => prepare(new Dataset(rows), tokenizer, options)
const textOf = async (rows: readonly Row[], options: PrepareOptions = {}) =>
  (await prepared(rows, options)).examples.map(({ ids }) => tokenizer.decode([...ids]))
/** what is learned of a row, as text */
const learned = async (rows: readonly Row[], options: PrepareOptions = {}) =>
  (await prepared(rows, options)).examples.map(({ ids, targets }) => tokenizer.decode([...ids].filter((_, i) => targets[i] === 1)))

const turn = (role: string, content: string) => ({ role, content })

it('datasets 7222, 7092: a column that is null, or an empty list, in every row of one file and something else in the next', async () => {
  const one = file('one.jsonl', '{"text":"a","c":null,"list":[]}\n{"text":"b","c":null,"list":[]}\n')
  const two = file('two.jsonl', '{"text":"c","c":"d","list":[{"id":1}]}\n')
  for (const streaming of [false, true]) {
    const { rows, columns } = await loadDataset('json', { dataFiles: [one, two], streaming })
    expect(columns).toEqual(['text', 'c', 'list'])
    expect([...rows]).toEqual([
      { text: 'a', c: null, list: [] },
      { text: 'b', c: null, list: [] },
      { text: 'c', c: 'd', list: [{ id: 1 }] },
    ])
  }
})

it('datasets 5827: a number in one row and a text in the next, of a column that nobody reads', async () => {
  const rows = await loadDataset(file('mixed.json', '[{"text":"a","name":1},{"text":"b","name":"Nan"},{"text":"c","name":3.0}]'))
  expect(rows.rows.map(({ name }) => name)).toEqual([1, 'Nan', 3])
  expect((await prepare(rows, tokenizer)).examples).toHaveLength(3)
})

it('datasets 6699: keys that only some rows have are not added to the others', async () => {
  const lines = [
    { id: 0, at: { '-1': [0, 10] } },
    { id: 1, at: { '-2': [1, 2] } },
  ]
  const rows = await loadDataset(file('keys.jsonl', lines.map((row) => `${JSON.stringify(row)}\n`).join('')))
  expect(rows.rows).toEqual(lines)
})

it('datasets 7169: lines that lack columns which others have', async () => {
  const { rows, columns } = await loadDataset(file('lack.jsonl', '{"age":1}\n{"name":"b"}\n{"age":3,"name":"c"}\n'))
  expect([columns, rows]).toEqual([
    ['age', 'name'],
    [{ age: 1 }, { name: 'b' }, { age: 3, name: 'c' }],
  ])
})

it('datasets 622: a carriage return within a text, and a table by tabs that is called .csv', async () => {
  const path = file('returns.csv', 'text,n\n"one\rtwo",1\n"three\r\n""four""",2\n')
  for (const streaming of [false, true])
    expect((await loadDataset(path, { streaming })).rows.map(({ text }) => text)).toEqual(['one\rtwo', 'three\r\n"four"'])
  for (const streaming of [false, true])
    await expect(loadDataset(file('tabs.csv', 'title\ttext\na\tb\n'), { streaming })).rejects.toThrow(
      /by tabs, not by commas.*name the file \.tsv/,
    )
})

it('trl 3030: streamed rows and a function that formats them', async () => {
  const path = file('alpaca.jsonl', '{"instruction":"say","input":"","output":"so"}\n{"instruction":"do","input":"x","output":"it"}\n')
  const formattingFunc = ({ instruction, input, output }: Row) => `${instruction} ${input}: ${output}`
  const ids = async (streaming: boolean) =>
    (await prepare(await loadDataset(path, { streaming }), tokenizer, { formattingFunc })).examples.map((example) => [...example.ids])
  expect(await ids(true)).toEqual(await ids(false))
})

it('LlamaFactory 2481: ShareGPT’s keys with the roles of messages; 2381: a role that nobody knows is named', async () => {
  const said = [turn('user', 'hi'), turn('assistant', 'ho')]
  const shared = said.map(({ role, content }) => ({ from: role, value: content }))
  expect(await textOf([{ conversations: shared }])).toEqual(await textOf([{ messages: said }]))
  await expect(prepared([{ conversations: [{ from: 'hummany', value: 'hi' }, shared[1]!] }])).rejects.toThrow(/row 1.*hummany/)
})

it('LlamaFactory 2962: one who speaks twice in a row, or first; 2462: a system prompt among the turns', async () => {
  const rows = [
    { conversations: [{ from: 'system', value: 'be brief' }, { from: 'human', value: 'a' }, { from: 'human', value: 'b' }, { from: 'gpt', value: 'c' }] }, // biome-ignore format: a row
    {
      conversations: [
        { from: 'gpt', value: 'hello' },
        { from: 'human', value: 'd' },
        { from: 'gpt', value: 'e' },
      ],
    },
  ]
  const [first, second] = await textOf(rows)
  for (const [text, parts] of [[first!, ['be brief', 'a', 'b', 'c']], [second!, ['hello', 'd', 'e']]] as const) // biome-ignore format: a table
    expect(parts.every((part, i) => i === 0 || text.indexOf(part, text.indexOf(parts[i - 1]!)) > 0)).toBe(true)
})

it('LlamaFactory 9600: rows of one text each are not dropped for want of an answer', async () => {
  const { examples, unused } = await prepared([{ text: 'one text' }, { text: 'and another' }])
  expect([examples.length, unused]).toEqual([2, []])
})

it('axolotl 1761: every answer of a conversation is learned, not the last alone; 2089: not what stands between', async () => {
  const messages = [
    turn('system', 'sys'),
    turn('user', 'ask'),
    turn('assistant', 'first'),
    turn('user', 'more'),
    turn('assistant', 'second'),
  ]
  const [text] = await learned([{ messages }], {
    responses: { instructionPart: '<|im_start|>user\n', responsePart: '<|im_start|>assistant\n' },
  })
  expect(text).toContain('first')
  expect(text).toContain('second')
  for (const other of ['sys', 'ask', 'more']) expect(text).not.toContain(other)
})

it('trl 3927, 6668: what is cut to a prompt alone is left out and counted, and rows that are all so are refused', async () => {
  const long = { prompt: 'a question that goes on and on and on', completion: ' yes' }
  const short = { prompt: 'q', completion: ' yes' }
  const { examples, unused } = await prepared([long, short, long], { maxLength: 6 })
  expect(examples.map(({ row }) => row)).toEqual([2])
  expect(unused).toHaveLength(2)
  await expect(prepared([long, long], { maxLength: 6 })).rejects.toMatchObject({ code: 'DATA_NO_TARGETS' })
})

it('trl 5075: bfd cuts what is too long; what is cut off begins no sequence of its own', async () => {
  const rows = [{ input_ids: Array.from({ length: 13 }, (_, i) => i) }, { input_ids: Array.from({ length: 11 }, (_, i) => 20 + i) }]
  const packs = async (packingStrategy: 'bfd' | 'bfd_split') =>
    (await prepared(rows, { packing: true, packingStrategy, maxLength: 10 })).examples.map(({ ids }) => [...ids])
  const whole = rows.map(({ input_ids }) => input_ids.slice(0, 10))
  expect(await packs('bfd')).toEqual(whole)
  expect(await packs('bfd_split')).toEqual([...whole, [10, 11, 12, 30]])
})

it('trl 1337: rows that fill no pack are packed all the same', async () => {
  for (const packingStrategy of ['bfd', 'wrapped'] as const)
    expect(
      (await prepared([{ input_ids: [1, 2] }, { input_ids: [3] }], { packing: true, packingStrategy, maxLength: 10 })).examples.map(
        ({ ids }) => [...ids],
      ),
    ).toEqual([[1, 2, 3]])
})

it('LlamaFactory 5096: a conversation that ends with a question, and has more of them than answers', async () => {
  const ends = { conversations: [{ from: 'human', value: 'a' }, { from: 'gpt', value: 'b' }, { from: 'human', value: 'c' }] } // biome-ignore format: a row
  const [text] = await textOf([ends])
  expect(text!.indexOf('b')).toBeLessThan(text!.lastIndexOf('c'))
})
