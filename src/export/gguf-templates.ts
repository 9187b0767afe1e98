/** A tokenizer's chat templates as a GGUF file has them: without what only training asks of them, as readers that don't know `{% generation %}` would load none. */
import { type Entries, text } from '../formats/gguf/write.ts'
import { withoutGeneration } from '../text/jinja/without-generation.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { BASE_TEMPLATE } from './asked-as.ts'

/** @param instead the file's own template in the place of the tokenizer's, which gets a name; null: the tokenizer's is the file's */
export function describeTemplates(tokenizer: Tokenizer, instead: string | null): Entries {
  const { own, more } = templatesOf(tokenizer, instead)
  const written = (source: string) => text(withoutGeneration(source).template)
  return {
    ...(own === null ? {} : { [KEY]: written(own) }),
    ...(more.length > 0 ? { 'tokenizer.chat_templates': { kind: 'strings' as const, value: more.map(([name]) => name) } } : {}),
    ...Object.fromEntries(more.map(([name, source]) => [`${KEY}.${name}`, written(source)])),
  }
}

const KEY = 'tokenizer.chat_template'

/** Worth telling: templates that have their blocks still. */
export function templateNotes(tokenizer: Tokenizer, instead: string | null): string[] {
  const { own, more } = templatesOf(tokenizer, instead)
  const all = [...(own === null ? [] : [[KEY, own] as const]), ...more.map(([name, source]) => [`${KEY}.${name}`, source] as const)]
  return all.flatMap(([key, source]) => {
    const { kept } = withoutGeneration(source)
    return kept === null ? [] : [`${key} keeps its {% generation %} blocks, a tag that readers of jinja2’s own refuse: ${kept}`]
  })
}

function templatesOf(
  { chatTemplate, files }: Tokenizer,
  instead: string | null,
): { own: string | null; more: (readonly [string, string])[] } {
  const aside = instead !== null && chatTemplate !== null && chatTemplate !== instead
  return {
    own: instead ?? chatTemplate,
    more: [...Object.entries(files.chatTemplates ?? {}), ...(aside ? [[BASE_TEMPLATE, chatTemplate] as const] : [])],
  }
}
