/** Chat templates by name, for models that have none of their own: plain conversations, with what the assistant says marked for assistantOnlyLoss. */
import { option, SaqrError, say } from '../error.ts'
import { nearest } from '../hub/nearest.ts'

/** What a message says and its end, which of the assistant's are learned. */
const turn = (text: string, end: string) =>
  `{%- if message.role == 'assistant' %}{%- generation %}{{- ${text} + '${end}' }}{%- endgeneration %}{%- else %}{{- ${text} + '${end}' }}{%- endif %}`
const each = (body: string, list = 'messages') => `{%- for message in ${list} %}${body}{%- endfor %}`
const asked = (begin: string) => `{%- if add_generation_prompt %}{{- '${begin}' }}{%- endif %}`

const NAMED: Readonly<Record<string, string>> = {
  // <|im_start|>user⏎…<|im_end|>⏎
  chatml:
    each(`{{- '<|im_start|>' + message.role + '\\n' }}${turn('message.content', '<|im_end|>')}{{- '\\n' }}`) +
    asked('<|im_start|>assistant\\n'),
  // <start_of_turn>user⏎…<end_of_turn>⏎; what the system says begins the first turn
  'gemma-3':
    "{{- bos_token }}{%- set before = '' %}{%- set turns = messages %}{%- if messages[0].role == 'system' %}{%- set before = messages[0].content + '\\n\\n' %}{%- set turns = messages[1:] %}{%- endif %}" +
    each(
      `{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' }}{%- if loop.first %}{{- before }}{%- endif %}${turn('(message.content | trim)', '<end_of_turn>')}{{- '\\n' }}`,
      'turns',
    ) +
    asked('<start_of_turn>model\\n'),
  // <|start_header_id|>user<|end_header_id|>⏎⏎…<|eot_id|>
  'llama-3': `{{- bos_token }}${each(
    `{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}${turn('(message.content | trim)', '<|eot_id|>')}`,
  )}${asked('<|start_header_id|>assistant<|end_header_id|>\\n\\n')}`,
  // <|user|>⏎…<|end|>⏎
  'phi-3': `${each(`{{- '<|' + message.role + '|>\\n' }}${turn('message.content', '<|end|>')}{{- '\\n' }}`)}{%- if not add_generation_prompt %}{{- eos_token }}{%- endif %}${asked('<|assistant|>\\n')}`,
}

export const templateNames: readonly string[] = Object.keys(NAMED)

/** The template of this name; undefined: there is none. */
export const namedTemplate = (name: string): string | undefined => (Object.hasOwn(NAMED, name) ? NAMED[name] : undefined)

/** Jinja source, or that of a name; a text without a tag is no template. @throws SaqrError TEXT_NO_TEMPLATE */
export function templateOf(given: string): string {
  if (/\{[{%]/.test(given)) return given
  const found = namedTemplate(given)
  if (found !== undefined) return found
  const close = nearest(given, templateNames)
  throw new SaqrError(
    'TEXT_NO_TEMPLATE',
    say`${option('chatTemplate')} ${JSON.stringify(given.slice(0, 60))} is neither the source of a Jinja template nor one of ${templateNames.join(', ')}${close ? `; did you mean ${close}?` : ''}`,
  )
}
