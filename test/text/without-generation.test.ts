/** Templates of GGUF files: the same text in readers that don't know transformers' `generation` blocks. */
import { expect, it } from 'vitest'
import { ChatTemplate } from '../../src/text/chat-template.ts'
import { parse } from '../../src/text/jinja/parser.ts'
import { withoutGeneration } from '../../src/text/jinja/without-generation.ts'

it('blocks that say what is trained become blocks that every reader knows, white space and all', () => {
  const of = (tag: string, end: string) => `{% for m in messages %}\n  {%-${tag}%}\n{{ m.content }}{%+ ${end} -%}\n{% endfor %}`
  const { template, kept } = withoutGeneration(of(' generation ', 'endgeneration'))
  expect([template, kept]).toEqual([of(' if true ', 'endif'), null])
  expect(JSON.stringify(parse(template))).not.toContain('"generation"')
})

const block = (body: string) => `{% generation %}${body}{% endgeneration %}`

it.each([
  ['a template without any', "{% if add_generation_prompt %}{{ 'generation' }}{% endif %}", null],
  ['a template that only speaks of it', "{{ '{% generation %}' }}", null],
  ['what looks like a tag in a text', `{{ '{% generation %}' }}${block('a')}`, /in a text/],
  ['what looks like a tag in raw text', `{% raw %}{% generation %}{% endraw %}${block('a')}`, /in a text/],
  ['a template that saqr can’t read', `{% import 'x' as y %}${block('a')}`, /can’t read the template: .*import/],
  ['a variable read after its block', `{% set a = 1 %}${block('{% if x %}{% set a = 2 %}{% endif %}')}{{ a }}`, /read after them \(a\)/],
  ['one read in a block within and after', `${block(`${block('{% set a = 1 %}')}`)}{{ a }}`, /\(a\)/],
  ['one read by the block around', block(`${block('{% set a = 1 %}')}{{ a }}`), /\(a\)/],
  ['one read in the next block', `${block('{% set a = 1 %}')}${block('{{ a }}')}`, /\(a\)/],
  ['one set anew in one branch alone', `${block('{% set a = 1 %}')}{% if x %}{% set a = 2 %}{% endif %}{{ a }}`, /\(a\)/],
  ['one that a loop later reads', `${block('{% set a = 1 %}')}{% for b in [1] if b == a %}{% endfor %}`, /\(a\)/],
  ['one that a macro reads', `{% macro f() %}{{ a }}{% endmacro %}${block('{% set a = 1 %}')}{{ f() }}`, /\(a\)/],
  ['a text read after its block', `${block('{% set a %}b{% endset %}')}{{ a }}`, /\(a\)/],
  ['a macro called after its block', `${block('{% macro f() %}b{% endmacro %}')}{{ f() }}`, /\(f\)/],
  ['a namespace read after its block', `${block('{% set n = namespace() %}')}{% set n.a = 1 %}`, /\(n\)/],
])('%s stays as it is', (_, source, why) => {
  const { template, kept } = withoutGeneration(source)
  expect(template).toBe(source)
  if (why === null) expect(kept).toBeNull()
  else expect(kept).toMatch(why)
})

it.each([
  ['a loop is a scope of its own', `{% set a = 1 %}${block('{% for b in [2] %}{% set a = b %}{% endfor %}')}{{ a }}`],
  ['a namespace’s field is the same in all', `{% set n = namespace(a=1) %}${block('{% set n.a = 2 %}')}{{ n.a }}`],
  ['nothing reads it after the block', `{% set a = 1 %}{{ a }}${block('{% set a = 2 %}{{ a }}')}`],
  ['each turn of a loop begins anew', `{% for b in [1, 2] %}{{ a }}${block('{% set a = b %}{{ a }}')}{% endfor %}{{ a }}`],
  ['the other branch reads it', `{% if false %}${block('{% set a = 2 %}')}{% else %}{{ a }}{% endif %}`],
  ['it is set anew', `${block('{% set a = 2 %}')}{% set a = 3 %}{{ a }}`],
  ['a parameter has its name', `{% macro f(a) %}{{ a }}{% endmacro %}${block('{% set a = 1 %}')}{{ f(2) }}`],
  ['a loop’s own has its name', `${block('{% set a = 1 %}')}{% for a in [2] %}{{ a }}{% endfor %}`],
])('a block is turned where %s', (_, source) => {
  expect(withoutGeneration(source)).toEqual({
    template: source.replaceAll('endgeneration', 'endif').replaceAll('generation', 'if true'),
    kept: null,
  })
  expect(texts(withoutGeneration(source).template)).toEqual(texts(source))
})

/** what a template writes where x is so and otherwise, or that it can't */
const texts = (template: string) =>
  [true, false].map((x) => {
    try {
      return new ChatTemplate(template).render([{ role: 'user', content: '' }], {}, { tools: null, variables: { x } }).text
    } catch (error) {
      return String((error as Error).message)
    }
  })

it('templates drawn at random: one that is turned writes what it wrote', () => {
  let state = 20_263
  const draw = <T>(...of: T[]): T => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return of[Math.floor((state / 2 ** 32) * of.length)]!
  }
  const name = () => draw('a', 'b', 'c')
  const value = (): string => draw('1', '2', name(), `${name()} ~ 3`, 'x')
  const body = (depth: number): string => Array.from({ length: draw(1, 2, 3) }, () => statement(depth)).join('')
  const inner = (depth: number) => body(depth - 1)
  const statement = (depth: number): string => {
    const leaf = () => draw(`{{ ${name()} }};`, `{% set ${name()} = ${value()} %}`)
    if (depth === 0) return leaf()
    return draw(
      leaf,
      () => block(inner(depth)),
      () => block(inner(depth)),
      () => `{% if ${draw('x', 'not x', name())} %}${inner(depth)}{% else %}${inner(depth)}{% endif %}`,
      () => `{% if ${draw('x', 'not x')} %}${inner(depth)}{% endif %}`,
      () => `{% for ${name()} in [1, ${value()}]${draw('', ` if ${name()}`)} %}${inner(depth)}{% endfor %}`,
      () =>
        `{% macro m${depth}(${draw('', name(), `${name()}=${value()}`)}) %}${inner(depth)}{% endmacro %}{{ m${depth}(${draw('', '4')}) }}`,
      () => `{% set ${name()} %}${inner(depth)}{% endset %}`,
      () => `{% with ${name()} = ${value()} %}${inner(depth)}{% endwith %}`,
      () => `{% filter upper %}${inner(depth)}{% endfilter %}`,
    )()
  }
  const found = { turned: 0, kept: 0, needed: 0 }
  for (let i = 0; i < 300; i++) {
    const source = body(2)
    const { template, kept } = withoutGeneration(source)
    const ifs = source.replaceAll('endgeneration', 'endif').replaceAll('generation', 'if true')
    if (kept !== null) {
      found.kept++
      if (String(texts(ifs)) !== String(texts(source))) found.needed++
    } else if (template !== source) {
      found.turned++
      expect(texts(template), source).toEqual(texts(source))
    }
  }
  for (const count of Object.values(found)) expect(count, JSON.stringify(found)).toBeGreaterThan(20)
})
