/** Gemma, Llama, and the vision models that speak like them. */
import { after, before, begin, beginIf, end, endIf, type StockTemplate } from './edit.ts'

const isAssistant = "message['role'] == 'assistant'"
const isModel = "role == 'model'"
const r = String.raw

/** a role, a colon, then what is said: of the assistant's turn, all after the colon */
const roleAndColon: StockTemplate['edits'] = [
  [
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}",
    `{{ ':' }}${beginIf(isAssistant)}{% if message['content'][0]['type'] != 'image' %}{{ ' ' }}{% endif %}`,
  ],
  after('<end_of_utterance>\n', `{% if ${isAssistant} %}{% saqr_end %}{% endif %}`),
]

export const googleMeta: StockTemplate[] = [
  {
    name: 'Gemma and Gemma 2',
    sha256: 'ecd6ae513fe103f0eb62e8ab5bfa8d0fe45c1074fa398b089c93a7e70c15cfd6',
    edits: [
      ["' + role + '\n' + message['content']", `' + role + '\n' }}${beginIf(isAssistant)}{{ message['content']`],
      before('{% endfor %}', endIf(isAssistant)),
    ],
  },
  {
    name: 'Gemma 3',
    sha256: '7de1c58e208eda46e9c7f86397df37ec49883aeece39fb961e0a6b24088dd3c4',
    edits: [
      after('(first_user_prefix if loop.first else "") }}', beginIf(isAssistant)),
      before('\n{%- endfor -%}\n{%- if add_generation_prompt', endIf(isAssistant)),
    ],
  },
  {
    name: 'DiffusionGemma',
    sha256: '9aeb7eac68ad87bba7567e9d4597ff203e5609f1b427d9e823437d0142cc61bf',
    edits: [
      [
        r`{{- '<|channel>thought\n' + thinking_text + '\n<channel|>' -}}`,
        r`${begin}{{- '<|channel>thought\n' + thinking_text + '\n<channel|>' -}}${end}`,
      ],
      before("{%- for tool_call in message.get('tool_calls') -%}", begin),
      before("{%- set ns.prev_message_type = 'tool_call' -%}\n            {%- endif -%}", end),
      ['{{- captured_content -}}', `${beginIf(isModel)}{{- captured_content -}}${endIf(isModel)}`],
      [
        r`next_nt.found) -%}
            {{- '<turn|>\n' -}}`,
        r`next_nt.found) -%}${beginIf(isModel)}{{- '<turn|>\n' -}}${endIf(isModel)}`,
      ],
    ],
  },
  {
    name: 'Llama 3',
    sha256: 'ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122',
    edits: [
      ["'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}", r`'<|end_header_id|>\n\n' %}`],
      ['bos_token + content', 'bos_token ~ content'], // a tokenizer may have none
      ['{{ content }}', `{{ content }}${beginIf(isAssistant)}{{ message['content'] | trim + '<|eot_id|>' }}${endIf(isAssistant)}`],
    ],
  },
  {
    name: 'LLaVA-NeXT',
    sha256: '2c17243a977fd0643fb549a509a8e2684f45517df0f9f608d5893b719f16569f',
    edits: [
      ["{{ ' ' + message['content'][0]['text'] + '</s> '}}", `${begin}{{ ' ' + message['content'][0]['text'] + '</s>' }}${end}{{ ' ' }}`],
    ],
  },
  { name: 'Idefics 3', sha256: '0d7e56ca41705b79932de707b22bc855c3cfcefae62f1ac5e458560654883d2e', edits: roleAndColon },
  { name: 'SmolVLM', sha256: '830005085ddd94cec605b6e21b885b28ffad6e3f82ee6a212c523533e8f04f01', edits: roleAndColon },
]
