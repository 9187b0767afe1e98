/** Templates of GGUF files: the same text in readers that don't know transformers' `generation` blocks. */
import { expect, it } from 'vitest'
import { parse } from '../../src/text/jinja/parser.ts'
import { withoutGeneration } from '../../src/text/jinja/without-generation.ts'

it('blocks that say what is trained become blocks that every reader knows, white space and all', () => {
  const of = (tag: string, end: string) => `{% for m in messages %}\n  {%-${tag}%}\n{{ m.content }}{%+ ${end} -%}\n{% endfor %}`
  expect(withoutGeneration(of(' generation ', 'endgeneration'))).toBe(of(' if true ', 'endif'))
  expect(JSON.stringify(parse(withoutGeneration(of('generation', 'endgeneration'))))).not.toContain('"generation"')
})

it.each([
  ['a template without any', "{% if add_generation_prompt %}{{ 'generation' }}{% endif %}"],
  ['what looks like a tag in a text', "{{ '{% generation %}' }}{% generation %}a{% endgeneration %}"],
  ['what looks like a tag in raw text', '{% raw %}{% generation %}{% endraw %}{% generation %}a{% endgeneration %}'],
  ['a block that is a scope', '{% set a = 1 %}{% generation %}{% if x %}{% set a = 2 %}{% endif %}{% endgeneration %}{{ a }}'],
])('%s stays as it is', (_, source) => {
  expect(withoutGeneration(source)).toBe(source)
})
