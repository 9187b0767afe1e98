import { Tokenizer } from '../../src/text/tokenizer.ts'
import { byteTokenizer } from '../cli/tiny-model.ts'

/** templates of our own that write calls as those of the families do */
export const shown =
  "{% if tools %}<tools>{{ tools | tojson }}</tools>\n{% endif %}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}"
const rest = '\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}'
export const each = '{% if m.tool_calls %}{% for c in m.tool_calls %}CALL{% endfor %}{% endif %}'
export const templates = {
  hermes: shown + each.replace('CALL', '<tool_call>\n{{ c.function | tojson }}\n</tool_call>') + rest,
  mistral:
    `${shown}{% if m.tool_calls %}[TOOL_CALLS] [{% for c in m.tool_calls %}{{ c.function | tojson }}{% if not loop.last %}, {% endif %}{% endfor %}]{% endif %}` +
    rest,
  'mistral since 2025': shown + each.replace('CALL', '[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}') + rest,
  // which prints an object too, as Python's str writes it
  'mistral, printed': shown + each.replace('CALL', '[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments }}') + rest,
  llama: shown + each.replace('CALL', '{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}') + rest,
  xml:
    shown + each.replace('CALL', '<tool_call>\n<function={{ c.function.name }}>{{ c.function.arguments }}</function></tool_call>') + rest,
  'qwen 3 coder':
    shown +
    each.replace(
      'CALL',
      '<tool_call>\n<function={{ c.function.name }}>\n{% for k, v in c.function.arguments.items() %}<parameter={{ k }}>\n{{ v }}\n</parameter>\n{% endfor %}</function>\n</tool_call>',
    ) +
    rest,
  // which adds texts: an object is none
  deepseek:
    `${shown}{% if m.tool_calls %}<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.type + '<｜tool▁sep｜>' + c.function.name + '\n\`\`\`json\n' + c.function.arguments + '\n\`\`\`' }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>{% endif %}` +
    rest,
  'deepseek since 3.1':
    `${shown}{% if m.tool_calls %}<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.function.name + '<｜tool▁sep｜>' + c.function.arguments }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>{% endif %}` +
    rest,
  // which shows calls beside no content alone (verl#7768)
  'deepseek r1':
    `${shown}{% if m['role'] == 'assistant' and m['content'] is none %}<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.type + '<｜tool▁sep｜>' + c.function.name + '\n\`\`\`json\n' + c.function.arguments + '\n\`\`\`' }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>{% endif %}` +
    rest,
  'gpt-oss':
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{% if m.tool_calls %}<|start|>assistant to=functions.{{ m.tool_calls[0].function.name }}<|channel|>commentary json<|message|>{{ m.tool_calls[0].function.arguments | tojson }}<|call|>{% elif m['role'] == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m['content'] }}<|end|>{% else %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}",
  none: shown + rest,
}
export const tokenizerOf = (chatTemplate: string) =>
  new Tokenizer({ tokenizerJson: byteTokenizer(), tokenizerConfig: { eos_token: '</s>' }, chatTemplate } as never)

export const hermes = (one: object) => `<tool_call>\n${JSON.stringify(one)}\n</tool_call>`
