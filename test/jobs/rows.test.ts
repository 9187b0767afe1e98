/** The rows of a job: checked line by line, then read to be trained on, in memory or where they lie, the same either way. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { trainingLines, trainingRows } from '../../src/jobs/rows.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-job-rows-'))
afterAll(() => rmSync(folder, { recursive: true }))

const said = 'chats.jsonl (file-1)'
function file(text: string): string {
  const path = join(folder, 'training.jsonl')
  writeFileSync(path, text)
  return path
}
const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })
const lines = (rows: object[]) => rows.map((row) => JSON.stringify(row)).join('\r\n\r\n')

it.each([
  [
    'supervised',
    [{ messages: [user('ä?'), assistant('b')], functions: [{ name: 'f' }], odd: 1 }, { messages: [user('c'), assistant('d')] }],
  ],
  ['supervised', [{ prompt: 'a', completion: 'b', odd: 2 }]],
  ['dpo', [{ input: { messages: [user('q')] }, preferred_output: [assistant('y')], non_preferred_output: [assistant('n')] }]],
] as const)('are the same in memory and on disk, and those that were checked: %s', async (method, rows) => {
  const path = file(`\uFEFF${lines(rows as unknown as object[])}\n`)
  const checked = []
  for await (const { row, number } of trainingLines(path, said, method)) checked.push([row, `${said}, line ${number}`])
  const [held, streamed] = [await trainingRows({ path, said }, method), await trainingRows({ path, said }, method, undefined, 0)]
  expect([held.isStreamed, streamed.isStreamed]).toEqual([false, true])
  for (const dataset of [held, streamed]) {
    expect(dataset.rows.map((row, i) => [row, dataset.where(i)])).toEqual(checked)
    expect(dataset.columns).toEqual(held.columns)
  }
})

const example = '{"prompt": "a", "completion": "b"}'
it.each([
  ['of JSON’s white space', `${example}\n \t\r\n\n${example}\n`],
  ['that the byte order mark begins', `\uFEFF\n${example}\n${example}`],
  ['of the byte order mark and spaces', `\uFEFF \t\r\n${example}\n${example}`],
])('an empty line %s is one where they are checked and where they are read', async (_, text) => {
  const path = file(text)
  const checked: string[] = []
  for await (const { number } of trainingLines(path, said, 'supervised')) checked.push(`${said}, line ${number}`)
  expect(checked).toHaveLength(2)
  for (const most of [undefined, 0]) {
    const { rows, where } = await trainingRows({ path, said }, 'supervised', undefined, most).then((dataset) => ({
      rows: dataset.rows,
      where: dataset.rows.map((_, i) => dataset.where(i)),
    }))
    expect([...rows]).toEqual([JSON.parse(example), JSON.parse(example)])
    expect(where).toEqual(checked)
  }
})

it.each([
  ['a no-break space', '\u00a0'],
  ['a form feed', '\f'],
  ['a vertical tab', '\v'],
  ['a byte order mark within the file', '\uFEFF'],
])('a line of %s is not empty, here as there', async (_, odd) => {
  const path = file(`${example}\n${odd}\n${example}\n`)
  const check = async () => {
    for await (const _ of trainingLines(path, said, 'supervised'));
  }
  await expect(check()).rejects.toThrow(/line 2/)
  await expect(trainingRows({ path, said }, 'supervised')).rejects.toThrow(/line 2/)
})

it('a file of a byte order mark alone has no example', async () => {
  const check = async () => {
    for await (const _ of trainingLines(file('\uFEFF'), said, 'supervised'));
  }
  await expect(check()).rejects.toThrow(/has no example/)
})

it('with a carriage return within a line are refused when they are checked', async () => {
  const check = async () => {
    for await (const _ of trainingLines(file('{"prompt": "a",\r"completion": "b"}\n'), said, 'supervised'));
  }
  await expect(check()).rejects.toThrow(/line 1: a carriage return stands within it/)
})
