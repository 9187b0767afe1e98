/** Holds templates against what transformers made of them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SaqrError } from '../../src/error.ts'
import { parseExactly } from '../../src/hub/json-exact.ts'
import { ChatTemplate, type Message } from '../../src/text/chat-template.ts'

export interface TemplateCase {
  template: string
  text?: string
  spans?: [number, number][]
  error?: string
}

/** `wrong`: another text, or one where transformers errs; `refused`: an error where transformers has a text. */
export function differences(folder: string, cases: readonly TemplateCase[]): { wrong: object[]; refused: string[] } {
  const { messages, tools } = parseExactly(readFileSync(join(folder, 'given.json'), 'utf8')) as { messages: Message[]; tools: unknown[] }
  const wrong: object[] = []
  const refused: string[] = []
  for (const { template, text, spans, error } of cases) {
    try {
      const made = new ChatTemplate(template).render(messages, { bos_token: '<s>', eos_token: '</s>' }, { tools })
      const same = made.text === text && (made.spans === null || JSON.stringify(made.spans) === JSON.stringify(spans))
      if (!same) wrong.push({ template, text, spans, error, made })
    } catch (cause) {
      if (!(cause instanceof SaqrError)) throw cause
      if (error === undefined) refused.push(template)
    }
  }
  return { wrong, refused }
}
