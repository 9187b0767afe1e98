/** Aya, DeepSeek, GLM, gpt-oss, LFM 2, Muse, Nemotron 3, Phi 3. */
import { after, before, begin, beginIf, type Edit, end, endIf, type StockTemplate } from './edit.ts'

const isAssistant = "message['role'] == 'assistant'"
const r = String.raw

const nemotron: readonly Edit[] = [
  before('\n                {%- set include_content = ', begin),
  after(
    r`{{- '</function>\n</tool_call>\n' -}}
                {%- endfor %}
                {{- '<|im_end|>\n' }}`,
    end,
  ),
  [
    r`'<|im_start|>assistant\n' ~ (content | default('', true) | string | trim) ~ '<|im_end|>\n' }}`,
    r`'<|im_start|>assistant\n' }}${begin}{{- (content | default('', true) | string | trim) ~ '<|im_end|>\n' }}${end}`,
  ],
  [r`'<|im_start|>assistant\n' ~ c ~ '<|im_end|>\n' }}`, r`'<|im_start|>assistant\n' }}${begin}{{- c ~ '<|im_end|>\n' }}${end}`],
  [r`{{- '<|im_start|>assistant\n<|im_end|>\n' }}`, r`{{- '<|im_start|>assistant\n' }}${begin}{{- '<|im_end|>\n' }}${end}`],
]

/** after the turn ends the text: what ends it is the assistant's where the last turn is */
const lastIsAssistant = "messages[-1]['role'] == 'assistant'"
const phi: readonly Edit[] = [
  [
    "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}",
    r`{{'<|assistant|>\n'}}${begin}{{ message['content'] + '<|end|>\n' }}${end}`,
  ],
  ['{{ eos_token }}', `${beginIf(lastIsAssistant)}{{ eos_token }}${endIf(lastIsAssistant)}`],
]

const afterAssistant = "loop.first or messages[loop.index0 - 1].role != 'assistant'"

export const others: StockTemplate[] = [
  {
    name: 'Aya Expanse',
    sha256: '90c33aee14aa2a226127516d48ee9184c9b90745d4a04c484621ec2e82fb712c',
    edits: [
      [
        "<|CHATBOT_TOKEN|>'  + content.strip() + '<|END_OF_TURN_TOKEN|>' }}",
        `<|CHATBOT_TOKEN|>' }}${begin}{{ content.strip() + '<|END_OF_TURN_TOKEN|>' }}${end}`,
      ],
    ],
  },
  {
    name: 'Tiny Aya',
    sha256: '2147c474f41b522b7296f74692b9f31e45f49a31465960576a9d321339c5915a',
    edits: [
      ['<|START_RESPONSE|>{{', `<|START_RESPONSE|>${begin}{{`],
      [
        '{% endif %}<|END_OF_TURN_TOKEN|>{% endfor %}',
        "{% endif %}{% if role in ['system', 'user', 'assistant', 'chatbot'] %}<|END_OF_TURN_TOKEN|>{% endif %}{% if role in ['assistant', 'chatbot'] %}{% saqr_end %}{% endif %}{% endfor %}",
      ],
    ],
  },
  {
    // its reasoning is dropped by the stock template, and learned in training
    name: 'DeepSeek R1 distilled',
    sha256: '56a1447ad31926fdc21fb07e56e5642bd9c850c4f52d8c8af7bbe5f079a84f5f',
    edits: [
      before("{%- for tool in message['tool_calls']%}", begin),
      before("{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}", end),
      before("{{'<｜tool▁outputs▁end｜>' + message['content']", begin),
      [
        "{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}",
        `{%- set ns.is_tool = false -%}${end}{%- else %}${begin}{% set content = message['content'] %}`,
      ],
      ["{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}", ''],
      after("{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}", end),
    ],
  },
  {
    // arguments are texts in the stock template, and objects in rows
    name: 'DeepSeek V3',
    sha256: '563b1ce7d61d50a9b4c7439a912a1116f095b712df5b5e4d3e1116049874eb64',
    edits: [
      before("{%- for tool in message['tool_calls'] %}", begin),
      [
        "{%- if message['content'] is none %}{{'<｜Assistant｜><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments'] +",
        "{%- if message['content'] is none %}{{'<｜Assistant｜><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments'] | tojson +",
      ],
      after(
        "{{'<｜Assistant｜>' + message['content'] + '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments']",
        ' | tojson',
      ),
      after(
        "{{'\\n' + '<｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments']",
        ' | tojson',
      ),
      after("{{'<｜tool▁calls▁end｜><｜end▁of▁sentence｜>'}}", end),
      before("{{'<｜tool▁outputs▁end｜>' + message['content']", begin),
      [
        "{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}",
        `{%- set ns.is_tool = false -%}${end}{%- else %}${begin}{% set content = message['content'] %}`,
      ],
      after("{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}", end),
    ],
  },
  {
    // a turn ends with the name of who speaks next: the assistant's word, which the next turn then does not repeat
    name: 'GLM 4 MoE',
    sha256: '44f815868bf02fa458dd2f741a338046f4bf45f398eb6d067766726b9d96cce3',
    edits: [
      [
        "{%- if m.role == 'user' -%}<|user|>\n{{ visible_text(m.content) }}",
        r`{%- if m.role == 'user' -%}{{ '<|user|>' if ${afterAssistant} }}{{ '\n' + visible_text(m.content) }}`,
      ],
      before('{%- if loop.index0 > ns.last_user_index and reasoning_content -%}', begin),
      [
        "</tool_call>{% endfor %}\n{% endif %}\n{%- elif m.role == 'tool' -%}",
        `</tool_call>{% endfor %}<|observation|>{% else %}{{ '<|system|>' if not loop.last and messages[loop.index0 + 1].role == 'system' else '<|user|>' }}{% endif %}${end}\n{%- elif m.role == 'tool' -%}`,
      ],
      [`{%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}\n    {{- '<|observation|>' }}\n{%- endif %}\n`, ''],
      ['<|observation|>{% for tr in m.content %}', `{{- '<|observation|>' if ${afterAssistant} }}{% for tr in m.content %}`],
      [
        "{%- elif m.role == 'system' -%}\n<|system|>\n{{ visible_text(m.content) }}",
        r`{%- elif m.role == 'system' -%}{{ '<|system|>' if ${afterAssistant} }}{{ '\n' + visible_text(m.content) }}`,
      ],
    ],
  },
  {
    name: 'gpt-oss',
    sha256: 'a4c9919cbbd4acdd51ccffe22da049264b1b73e59055fa58811a99efbd7c8146',
    edits: [before('{%- if "tool_calls" in message %}', begin), before("\n    {%- elif message.role == 'tool' -%}", end)],
  },
  {
    name: 'LFM 2',
    sha256: 'cef187400d62a59507aab3a642ea9a8d2a2ef263562bc3430560e116945273cf',
    edits: [[r`{{- content + "<|im_end|>\n" -}}`, r`${beginIf(isAssistant)}{{- content + "<|im_end|>\n" -}}${endIf(isAssistant)}`]],
  },
  {
    name: 'LFM 2, with tool calls',
    sha256: '5504d163d879bfb6fd4135b7fa3d56768b2e69dd718338f7b146750289f46ab0',
    edits: [
      before('{%- if content and content != "null" -%}', begin),
      after(r`{{- "<|im_end|>\n" -}}`, end),
      [r`{{- content + "<|im_end|>\n" -}}`, r`${beginIf(isAssistant)}{{- content + "<|im_end|>\n" -}}${endIf(isAssistant)}`],
    ],
  },
  {
    name: 'Muse Glimmer',
    sha256: 'cfc67e5f349f37690dfd31ed1f18bc4442a9dd32fe39a648f993cb4eb3cae678',
    edits: [
      after("{%- elif role == 'assistant' -%}", begin),
      before('\n    {%- endif -%}\n{%- endfor -%}\n{%- if add_generation_prompt -%}', end),
    ],
  },
  { name: 'Nemotron 3 Nano', sha256: 'ab7813c3abdd9cb655905a410728b26c7884eca45ddfab8d9f931553485a7862', edits: nemotron },
  { name: 'Nemotron 3 Super', sha256: '575fb74f54ed264df9047d0ecce3c98938aae953fb4f50356675706264cbb68a', edits: nemotron },
  { name: 'Nemotron 3 Ultra', sha256: '82753bef5cedc4932c1ed509b5c9a12be680fd86d1adb65bc3f7398d11c8eebc', edits: nemotron },
  { name: 'Nemotron 3.5 Lightning', sha256: '58933db77d3099b4f78c55a38347a72e1ea05b97d6bd8f38775303dc0194e0a9', edits: nemotron },
  { name: 'Phi 3', sha256: 'dcaee66df77bfbb789ec541fe713218da30225a526f1db97138fc39ee6dc56aa', edits: phi },
  { name: 'Phi 3.5', sha256: '78d976a442bcde2f0be15aafbb8e3050e1104f86732266f68403251b89982a90', edits: phi },
]
