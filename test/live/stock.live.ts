/** The templates that models carry, and what the assistant wrote where TRL knows it: transformers' texts, TRL's targets, over conversations drawn at random. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parseExactly } from '../../src/hub/json-exact.ts'
import { ChatTemplate, type Message } from '../../src/text/chat-template.ts'
import { withoutGeneration } from '../../src/text/jinja/without-generation.ts'
import { namedTemplate } from '../../src/text/named-templates.ts'
import { trainingTemplate } from '../../src/text/stock/training.ts'
import { oracle } from './oracle.ts'

/** to look for trouble elsewhere, change it: every seed should pass */
const SEED = 20262
const root = await oracle('stock', '--seed', String(SEED))

interface Case {
  messages: Message[]
  tools: unknown[] | null
  special: Record<string, string>
  add_generation_prompt: boolean
  text?: string
  spans?: [number, number][]
  error?: string
}

const files = ['stock', 'training'].flatMap((kind) => readdirSync(join(root, kind)).map((file) => [kind, file] as const))

it.each(files)('%s %s', (kind, file) => {
  const { template, rendered: source, cases } = read(kind, file)
  const ours = new ChatTemplate(kind === 'training' ? trainingTemplate(template)! : template)
  // as a GGUF file has it
  const written = withoutGeneration(source)
  expect(written.kept).toBeNull()
  const answers = new ChatTemplate(written.template)
  let rendered = 0
  for (const [i, { messages, tools, special, add_generation_prompt: addGenerationPrompt, text, spans }] of cases.entries()) {
    const render = () => ours.render(messages, special, { tools, addGenerationPrompt })
    const where = `seed ${SEED}, ${file}, conversation ${i + 1}: ${JSON.stringify(messages)}`
    if (text === undefined) expect(render, where).toThrow()
    else {
      const made = render()
      expect(made.text, where).toBe(text)
      expect(covered(made.spans!), where).toEqual(covered(spans!))
      if (written.template !== source)
        expect(answers.render(messages, special, { tools, addGenerationPrompt }), where).toMatchObject({ text, spans: [] })
      rendered++
    }
  }
  expect(rendered).toBeGreaterThan(5)
})

it('of all that have {% generation %} blocks, a GGUF file has none', () => {
  const having = files.map(([kind, file]) => read(kind, file).rendered).filter((source) => source.includes('endgeneration'))
  expect(having.length).toBeGreaterThan(30)
  expect(having.map((source) => withoutGeneration(source).template).filter((source) => source.includes('endgeneration'))).toEqual([])
})

it.each([
  ['llama-3', 'llama3'],
  ['gemma-3', 'gemma3'],
  ['phi-3', 'phi3'],
  // which begins with a system of its own where there is none
  ['chatml', 'qwen2_5'],
])('%s by its name says what %s.jinja says of plain conversations', (name, file) => {
  const ours = new ChatTemplate(namedTemplate(name)!)
  const plain = read('stock', `${file}.json`).cases.filter(
    ({ messages, tools, text }) =>
      text !== undefined &&
      !tools?.length &&
      messages.every((one) => Object.keys(one).length === 2 && typeof one.content === 'string' && PLAIN.includes(one.role)) &&
      (name !== 'chatml' || messages[0]!.role === 'system'),
  )
  for (const { messages, special, add_generation_prompt: addGenerationPrompt, text } of plain)
    expect(ours.render(messages, special, { addGenerationPrompt }).text).toBe(text)
  expect(plain.length).toBeGreaterThan(2)
})
const PLAIN = ['system', 'user', 'assistant']

function read(kind: string, file: string): { template: string; rendered: string; cases: Case[] } {
  return parseExactly(readFileSync(join(root, kind, file), 'utf8')) as ReturnType<typeof read>
}

/** what the spans cover, as one list without empty or touching ones */
function covered(spans: readonly (readonly [number, number])[]): [number, number][] {
  const joined: [number, number][] = []
  for (const [from, to] of spans) {
    const last = joined.at(-1)
    if (last && last[1] >= from) last[1] = Math.max(last[1], to)
    else if (to > from) joined.push([from, to])
  }
  return joined
}
