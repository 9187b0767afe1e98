/** How a stock template comes to say what the assistant wrote. */

/** Begins and ends what the assistant wrote; the two need not stand in one block, as `generation` must. */
export const begin = '{%- saqr_begin %}'
export const end = '{%- saqr_end %}'

/** The same where the message at hand is the assistant's. */
export const beginIf = (test: string) => `{%- if ${test} %}${begin}{%- endif %}`
export const endIf = (test: string) => `{%- if ${test} %}${end}{%- endif %}`

/** A text that stands once in the template, and what takes its place. */
export type Edit = readonly [text: string, replacement: string]

export const before = (text: string, insert: string): Edit => [text, insert + text]
export const after = (text: string, insert: string): Edit => [text, text + insert]

export interface StockTemplate {
  /** the models it came with */
  name: string
  /** of the template's UTF-8 text */
  sha256: string
  edits: readonly Edit[]
}

/** @throws Error where a text does not stand exactly once: the hash and the edits are not of one template */
export function edited(source: string, { name, edits }: StockTemplate): string {
  return edits.reduce((template, [text, replacement]) => {
    const [head, ...tails] = template.split(text)
    if (tails.length !== 1) throw new Error(`${name}: ${JSON.stringify(text)} stands ${tails.length} times in the template`)
    return head + replacement + tails[0]
  }, source)
}
