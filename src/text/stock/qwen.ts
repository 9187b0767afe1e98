/** Qwen, and what speaks as it does. Its newer templates leave out the reasoning of earlier turns; in training every turn has its block. */
import { after, before, begin, beginIf, type Edit, end, endIf, type StockTemplate } from './edit.ts'

const isAssistant = "message.role == 'assistant'"
const r = String.raw

const endsBeforeTool: Edit = before('\n    {%- elif message.role == "tool" %}', end)

/** `test` decides whether a turn has its reasoning: it always has. */
const alwaysThinks = (test: string): Edit[] => [
  [`{%- if ${test} %}`, '{%- if true %}'],
  [
    r`'<|im_start|>' + message.role + '\n<think>\n' + reasoning_content`,
    r`'<|im_start|>' + message.role + '\n' }}${begin}{{- '<think>\n' + reasoning_content`,
  ],
  endsBeforeTool,
]

export const qwen: StockTemplate[] = [
  {
    name: 'Qwen 2.5',
    sha256: 'cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f',
    edits: [
      [
        r`{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}`,
        r`{{- '<|im_start|>' + message.role }}${beginIf(isAssistant)}{{- '\n' + message.content + '<|im_end|>\n' }}${endIf(isAssistant)}`,
      ],
      before('\n        {%- if message.content %}', begin),
      endsBeforeTool,
    ],
  },
  {
    name: 'Qwen 2 VL and Qwen 2.5 VL',
    sha256: 'a0bc6f6fc7a29a80017a433e8f03a1cc1236e838a944a2d034295a60c4f2fddb',
    edits: [
      before("{% if message['content'] is string %}", "{% if message['role'] == 'assistant' %}{% saqr_begin %}{% endif %}"),
      before('{% endfor %}{% if add_generation_prompt %}', "{% if message['role'] == 'assistant' %}{% saqr_end %}{% endif %}"),
    ],
  },
  {
    name: 'Qwen 3',
    sha256: 'a55ee1b1660128b7098723e0abcd92caa0788061051c62d51cbe87d9cf1974d8',
    edits: [
      ['{%- if loop.last or (not loop.last and reasoning_content) %}', '{%- if true %}'],
      ...alwaysThinks('loop.index0 > ns.last_query_index'),
    ],
  },
  {
    name: 'Qwen 3 Instruct 2507',
    sha256: '64f85b198065d0fba2a81f37e10ed68161ce2c19a754c7100e67e0ca2ee9c326',
    edits: [
      [r`{{- '<|im_start|>' + message.role + '\n' + content }}`, r`{{- '<|im_start|>' + message.role + '\n' }}${begin}{{- content }}`],
      endsBeforeTool,
    ],
  },
  {
    name: 'Qwen 3 VL',
    sha256: '3636d0f0bd6bef02654cdffdc447b79cb2cef8ab02cc75267345946291a489e4',
    edits: [
      after(
        r`{%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role + '\n' }}`,
        begin,
      ),
      endsBeforeTool,
    ],
  },
  {
    name: 'Qwen 3.5, not thinking',
    sha256: '273d8e0e683b885071fb17e08d71e5f2a5ddfb5309756181681de4f5a1822d80',
    edits: alwaysThinks('loop.index0 > ns.last_query_index'),
  },
  {
    name: 'Qwen 3.5, thinking',
    sha256: 'a4aee8afcf2e0711942cf848899be66016f8d14a889ff9ede07bca099c28f715',
    edits: alwaysThinks('loop.index0 > ns.last_query_index'),
  },
  {
    name: 'Qwen 3.6',
    sha256: 'e84f32a23fdda27689f868aa4a1a5621f41133e51a48d7f3efcbea2839574259',
    edits: alwaysThinks('(preserve_thinking is defined and preserve_thinking is true) or (loop.index0 > ns.last_query_index)'),
  },
  {
    name: 'Qwen 3.8',
    sha256: 'c3cf9e34abf4f9e36c2d72165aa9c132d3e2a725b6c2586aaa3a8af9d7a81041',
    edits: alwaysThinks('preserve_thinking is undefined or preserve_thinking is true or loop.index0 > ns.last_query_index'),
  },
]
